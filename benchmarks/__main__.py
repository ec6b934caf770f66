"""`python -m benchmarks`: options, words and exit statuses; the work is in one module a benchmark."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.catalogue import ALL_TITLES, ENGINE_TITLES, GPU_TITLES, TITLES, run_benchmark
from benchmarks.figures import BrokenRunError, DisagreementError, NotMeasuredError, Result
from benchmarks.report import read_page, table, write_page, write_report

_SIZES = ("tiny", "demo", "s", "b", "l")
_GPU_SIZES = ("s", "b", "l")
_EPILOG = """benchmarks of the graphs:
{titles}

benchmarks of the engine, with --engine:
{engine_titles}

benchmarks of a GPU, by --only:
{gpu_titles}

examples:
  python -m benchmarks                                        # all of the graphs, twenty minutes
  python -m benchmarks --engine                               # all of the engine, half an hour
  python -m benchmarks --only B1 B5
  python -m benchmarks --quick                                # does everything run? seconds; the figures mean nothing
  python -m benchmarks --page docs/benchmarks.md
  python -m benchmarks --engine --page docs/engine.md
  python -m benchmarks --only B11 B12                         # on a GPU; without one it says so and measures nothing
  python -m benchmarks --only B11 B12 --device cpu --size tiny --quick

exit status: 0 measured, whether targets were met or not; 1 sides that must agree do not, something did not run, or the
run was stopped; 2 a mistake in the call. What is measured and how: docs/benchmarks.md, docs/engine.md
"""


def main(arguments: list[str] | None = None) -> int:
    """Run benchmarks and write their report; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.quick and options.page:
        parser.error("--page is for figures that mean something, which those of --quick don't")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if options.page:
            # Before minutes of measuring, not behind them.
            read_page(options.page)
        wanted = options.only or (ENGINE_TITLES if options.engine else TITLES)
        results = _run_all([key for key in ALL_TITLES if key in wanted], options)
    except (BrokenRunError, DisagreementError) as error:
        return _refuse(error, 1)
    except (OSError, ValueError) as error:
        return _refuse(error, 2)
    except KeyboardInterrupt:
        return _refuse("stopped", 1)
    if results:
        print("\n".join([*table(results), f"wrote {options.page or options.out}"]), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure how fast the graphs are, as ratios of sides that take turns on one thread; or the engine.",
        epilog=_EPILOG.format(
            titles=_lines(TITLES), engine_titles=_lines(ENGINE_TITLES), gpu_titles=_lines(GPU_TITLES)
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=tuple(ALL_TITLES), metavar="KEY", help="some of them")
    parser.add_argument("--engine", action="store_true", help="those of the engine instead of those of the graphs")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="of B11 and B12 (default: cuda)")
    parser.add_argument(
        "--size", nargs="+", choices=_SIZES, default=_GPU_SIZES, metavar="NAME", help="of B11 and B12 (default: s b l)"
    )
    parser.add_argument("--quick", action="store_true", help="a cut of seconds, to see that everything runs")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench"), metavar="DIR", help="for the report (default: build/bench)"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the figures into this page too")
    return parser


def _lines(titles: Mapping[str, str]) -> str:
    return "\n".join(f"  {key:4}{title}" for key, title in titles.items())


def _run_all(keys: Sequence[str], options: argparse.Namespace) -> list[Result]:
    """Whatever ends it, what was measured before is written: the report after each, the page when all have run.

    A page that changes between two benchmarks would make the second one's commit look changed.
    """
    results: list[Result] = []
    try:
        for key in keys:
            if result := _run(key, options):
                results.append(result)
                write_report(options.out, results)
    finally:
        if options.page and results:
            write_page(options.page, results)
    return results


def _run(key: str, options: argparse.Namespace) -> Result | None:
    """None if this computer lacks the device."""
    start = time.monotonic()

    def report(line: str) -> None:
        print(f"{key:4} {time.monotonic() - start:6.1f} s  {line}", flush=True)

    report(ALL_TITLES[key])
    try:
        return run_benchmark(key, options.quick, report, options.device, options.size)
    except NotMeasuredError as reason:
        report(str(reason))
        return None


def _refuse(reason: object, status: int) -> int:
    print(f"python -m benchmarks: {reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
