"""How a command of `python -m export` that cannot go on says so: a line, and the exit status."""

import sys


def refuse(reason: object) -> int:
    """The call makes no sense: 2."""
    print(f"python -m export: {reason}", file=sys.stderr)
    return 2


def fail(reason: object) -> int:
    """What it looked at is not as it should be: 1."""
    print(f"FAILED {reason}", file=sys.stderr)
    return 1
