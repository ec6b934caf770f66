"""`python -m xmdpt`: what can be asked of the model itself.

Only words and exit statuses; the work is in `xmdpt.parity`.
"""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for a failed check, 2 for a mistake in the call."""
    parser = argparse.ArgumentParser(prog="python -m xmdpt", description="Check X-MDPT against the official numbers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parity = commands.add_parser("parity", help="recompute a folder of golden numbers and print a table of errors")
    parity.add_argument("--golden", type=Path, required=True, metavar="DIR", help="folder of golden .npz files")
    parity.add_argument(
        "--variant", type=str.upper, choices=("S", "B", "L"), help="one size (default: all that the folder holds)"
    )
    options = parser.parse_args(arguments)
    if not options.golden.is_dir():
        print(f"python -m xmdpt parity: --golden {options.golden}: no such folder", file=sys.stderr)
        return 2
    return _parity(options.golden, options.variant)


def _parity(folder: Path, size: str | None) -> int:
    from xmdpt.parity import SIZES, Skipped, parity

    held = tuple(size for size in SIZES if any(folder.glob(f"*_{size}*.npz")))
    num_checks, num_failed = 0, 0
    print(f"{'name':<44} {'error':>9} {'tolerance':>9}")
    for outcome in parity(folder, (size,) if size else held):
        if isinstance(outcome, Skipped):
            print(f"{outcome.name:<44} skipped: {outcome.reason}", flush=True)
            continue
        num_checks += 1
        num_failed += not outcome.is_within_tolerance
        verdict = "ok" if outcome.is_within_tolerance else "FAILED"
        print(f"{outcome.name:<44} {outcome.error:>9.1e} {outcome.tolerance:>9.0e} {verdict}", flush=True)
    if not num_checks:
        print(f"FAILED: {folder} holds nothing to compare", file=sys.stderr)
        return 2
    print(f"{num_checks} compared, {num_failed} over tolerance")
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
