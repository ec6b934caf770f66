"""`python -m tests.chaos`: options, words and exit statuses; the work is `tests.chaos.run`'s."""

import argparse
import asyncio
import pickle
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.marked_page import PageError
from tests.chaos.checker import story, violations
from tests.chaos.cluster import SERVERS
from tests.chaos.figures import Figures, figures
from tests.chaos.history import History
from tests.chaos.processes import BrokenRunError
from tests.chaos.report import check_page, section, write_page, write_report
from tests.chaos.run import Options, run_chaos

_MAX_STORIES = 20
_LINE_EVERY_SECONDS = 10.0
_EPILOG = """exit status: 0 every promise was kept; 1 one was broken, and the histories are printed; 2 the run itself
could not be done. What is done and what is checked: docs/reliability.md
"""


def main(arguments: list[str] | None = None) -> int:
    """Run, judge, report; returns the exit status."""
    options = _parser().parse_args(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(100_000)
    servers = [options.server] if options.server else list(SERVERS)
    command = shlex.join(["python", "-m", "tests.chaos", "--minutes", f"{options.minutes:g}", "--seed", str(seed)])
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if options.page:
            check_page(options.page)
        histories: dict[str, History] = {}
        found: dict[str, Figures] = {}
        for server in servers:
            histories[server], found[server] = _run(server, options.minutes * 60 / len(servers), seed)
        write_report(options.out, histories, found, command)
        if options.page:
            write_page(options.page, histories, found, command)
    except (BrokenRunError, PageError, OSError) as error:
        print(f"python -m tests.chaos: {error}", file=sys.stderr)
        return 2
    print("\n".join([*section(found, command), f"wrote {options.page or options.out}"]), flush=True)
    return 1 if any(run.counts["violations"] for run in found.values()) else 0


def _run(server: str, seconds: float, seed: int) -> tuple[History, Figures]:
    """Do one run and judge it; what it has left on the disk stays only if there is something to find in it."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"{server}, seed {seed}, {seconds:.0f} s of faults, in {folder}", flush=True)
    history = asyncio.run(run_chaos(Options(seconds, seed, server), folder, _Progress().tell))
    found = violations(history)
    for violation in found[:_MAX_STORIES]:
        print(story(history, violation), file=sys.stderr)
    if found:
        (folder / "history.pickle").write_bytes(pickle.dumps(history))
        print(f"{len(found)} violations; logs, pictures and history are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return history, figures(history, len(found))


class _Progress:
    """One line that is written over on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._next = 0.0

    def tell(self, line: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{line:<100}", end="", flush=True)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_SECONDS
            print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Kill, stop and restart gateway, workers and queue under load, and check that no promise breaks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=22, help="of faults, over all servers (default: 22)")
    parser.add_argument("--seed", type=int, help="of load and faults (default: a new one, which is printed)")
    parser.add_argument("--server", choices=SERVERS, help="only this one (default: each for its share of the time)")
    parser.add_argument("--out", type=Path, default=Path("build/chaos"), metavar="DIR", help="(default: build/chaos)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put table and picture into this page too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
