"""Print the licences of a release: of the files that it holds, and of the packages that it is installed with.

`python deploy/licences.py`, in an environment that has the packages of requirements.lock.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
# Some packages put the whole text where its name belongs.
_MAX_NAME = 60


def main() -> int:
    """Print the page; returns the exit status: 1 if a licence is not known."""
    notice = (_ROOT / "NOTICE").read_text("utf-8")
    lock = (_ROOT / "requirements.lock").read_text("utf-8")
    rows, unknown = [], []
    for name, version in _PINNED.findall(lock):
        licence = licence_of(name)
        if licence is None:
            unknown.append(name)
        elif licence:
            rows.append(f"| {name} | {version} | {licence} |")
    print("# Licences\n\n## Files of the wheel\n")
    print("\n".join(f"    {line}".rstrip() for line in notice.splitlines()))
    print("\n## Packages that it is installed with\n")
    print("Those of `requirements.lock`, which are not in the wheel.\n\n| Package | Version | Licence |\n|---|---|---|")
    print("\n".join(rows))
    if unknown:
        print(f"licences: not known of {', '.join(unknown)}", file=sys.stderr)
    return bool(unknown)


def licence_of(name: str) -> str | None:
    """What the package says of itself; empty if it is not for this system, None if it says nothing."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return ""
    if about["License-Expression"]:
        return about["License-Expression"]
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier", []) if "License ::" in text]
    if classifiers:
        return ", ".join(classifiers)
    stated = (about["License"] or "").strip().splitlines()
    return stated[0][:_MAX_NAME] if stated else None


if __name__ == "__main__":
    sys.exit(main())
