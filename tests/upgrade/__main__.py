"""`python -m tests.upgrade`: roll a deployment from a commit to this tree and back.

Options, words and exit statuses; the work is `tests.upgrade.rolling`'s.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.upgrade.rolling import roll
from tests.upgrade.trees import ROOT, tree_of

_EPILOG = """exit status: 0 everything held; 1 something did not, and it is printed; 2 there is no such commit. Both
versions run in this environment, so a commit that needs other packages or settings can't be tried."""


def main() -> int:
    """Run and report; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.upgrade",
        description="Upgrade real processes from a commit to this tree under load, roll back, and upgrade again.",
        epilog=_EPILOG,
    )
    parser.add_argument("--base", required=True, metavar="REF", help="the commit to upgrade from, such as HEAD~10")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="upgrade-"))
    try:
        old = tree_of(options.base, folder)
    except ValueError as error:
        shutil.rmtree(folder)
        print(f"python -m tests.upgrade: {error}", file=sys.stderr)
        return 2
    try:
        findings = roll(old, ROOT, folder, lambda line: print(line, flush=True))
    except (AssertionError, pytest.fail.Exception) as error:
        print(f"it came to a halt: {error}; logs are in {folder}", file=sys.stderr)
        return 1
    for name, number in findings.figures.items():
        print(f"{number:6d}  {name}")
    for violation in findings.violations:
        print(violation, file=sys.stderr)
    if findings.violations:
        print(f"{len(findings.violations)} violations; logs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    print("everything held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
