"""`python -m tests.fuzz`: schemathesis over the whole API for as long as one likes (`make soak`)."""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import run_fuzz

_REPORT_TAIL_LINES = 400


def main(arguments: list[str] | None = None) -> int:
    """Run and tell; 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long (20)")
    parser.add_argument("--seed", type=int, help="of the cases; a new one if absent")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="folder of the whole report (build/fuzz)")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(100_000)
    print(f"seed {seed}, {options.minutes:g} minutes; --minutes and --seed repeat it", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        run = run_fuzz(Path(folder), options.minutes * 60, seed)
    options.out.mkdir(parents=True, exist_ok=True)
    report = options.out / "report.txt"
    report.write_text(run.report)
    print("\n".join(run.report.splitlines()[-_REPORT_TAIL_LINES:]))
    print(f"{run.num_server_errors} internal errors in the service's log; the whole report: {report}")
    return 1 if run.status or run.num_server_errors else 0


if __name__ == "__main__":
    sys.exit(main())
