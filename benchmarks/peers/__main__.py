"""`python -m benchmarks.peers`: options, words and exit statuses."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import BrokenRunError
from benchmarks.occasion import occasion
from benchmarks.peers.comparison import Choice, Comparison
from benchmarks.peers.findings import OURS, SCENARIOS, Finding
from benchmarks.peers.report import PageError, Run, check_page, tables, write_page, write_report
from benchmarks.peers.scenarios import FULL, QUICK
from benchmarks.peers.tuning import best_batch
from loadtests.peers.services import SERVICES

_EPILOG = """scenarios:
{scenarios}

examples:
  python -m benchmarks.peers                              # all of it: an hour on a computer that is free
  python -m benchmarks.peers --quick                      # does everything run? minutes; the figures mean nothing
  python -m benchmarks.peers --only litserve triton --scenario mixed simulated
  python -m benchmarks.peers --page docs/peers.md

A peer that can't be installed, started or asked is said so in the report, and the others go on.
exit status: 0 measured; 1 our own service was not, or the run was stopped; 2 a mistake in the call.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.quick and options.page:
        parser.error("--page is for figures that mean something, which those of --quick don't")
    # What was started is stopped then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begin, found = time.monotonic(), list[Finding]()

    def report(line: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {line}", flush=True)

    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if options.page:
            # Before half an hour of measuring, not behind it.
            check_page(options.page)
        where = occasion()
        max_batch = 1 if options.quick else best_batch(report)
        services = [name for name in SERVICES if name == OURS or name in options.only]

        def run_so_far() -> Run:
            versions = {SERVICES[name].title: version for name in services if (version := SERVICES[name].version())}
            words = {"on": where["date"], "commit": where["commit"], "with": f"{where['machine']}, {where['versions']}"}
            words |= {"peers:": ", ".join(f"{name} {version}" for name, version in versions.items()) or "none"}
            words |= {"their batches:": f"up to {max_batch} on the cores, 16 on simulated devices"}
            return Run(found, words, options.quick)

        def keep(findings: Sequence[Finding]) -> None:
            found[:] = findings
            write_report(options.out, run_so_far())

        choice = Choice(
            [SERVICES[name] for name in services], options.scenario, QUICK if options.quick else FULL, max_batch
        )
        asyncio.run(Comparison(choice, report, keep).run())
        if options.page:
            write_page(options.page, run_so_far())
    except BrokenRunError as error:
        return _refuse(error, 1)
    except (OSError, PageError) as error:
        return _refuse(error, 2)
    except KeyboardInterrupt:
        return _refuse(f"stopped; what was found until then is in {options.out}", 1)
    print("\n".join([*tables([run_so_far()]), f"wrote {options.page or options.out}"]), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Measure our service beside other serving frameworks: the same graphs, callers and cores.",
        epilog=_EPILOG.format(scenarios="\n".join(f"  {key:11}{each.title}" for key, each in SCENARIOS.items())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    peers = [name for name in SERVICES if name != OURS]
    parser.add_argument(
        "--only", nargs="+", choices=list(SERVICES), default=list(SERVICES), metavar="PEER",
        help=f"some of {', '.join(peers)}; ours is always run, `--only ours` without any",
    )  # fmt: skip
    parser.add_argument(
        "--scenario", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="NAME", help="some of them"
    )
    parser.add_argument("--quick", action="store_true", help="a cut, to see that everything runs")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench-peers"), metavar="DIR",
        help="for the report, which grows while the run goes on (default: build/bench-peers)",
    )  # fmt: skip
    parser.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="put the figures into this page too, which keeps those of other scenarios",
    )
    return parser


def _refuse(reason: object, status: int) -> int:
    print(f"python -m benchmarks.peers: {reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
