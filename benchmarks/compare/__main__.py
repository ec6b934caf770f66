"""`python -m benchmarks.compare`: the same benchmarks on another commit and on this tree, in turns.

Each turn is a process of its own, with this Python and its packages; the other commit is a worktree for as long as
that lasts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.catalogue import ENGINE_TITLES, TITLES
from benchmarks.compare.change import changes_of, table_of
from benchmarks.figures import BrokenRunError, Result
from benchmarks.report import RESULTS

COMPARISON, TABLE = "comparison.json", "comparison.md"
"""Files of a comparison."""
_ROOT = Path(__file__).resolve().parents[2]
_EPILOG = """examples:
  python -m benchmarks.compare main                       # this tree, committed or not, against main
  python -m benchmarks.compare HEAD~1 --only B5 B9 --rounds 6
  python -m benchmarks.compare HEAD --quick --rounds 1    # does it run? the figures mean nothing

A row is marked `higher` or `lower` where every round here lies beyond every round of the base, of three or more. By
chance that happens to 1 row of 10 with three rounds, 1 of 35 with four, 1 of 126 with five.

exit status: 0 compared, whatever came out; 1 something did not run, or was stopped; 2 a mistake in the call
"""


class _CallError(ValueError):
    """A mistake in the call; one line says which."""


def main(arguments: list[str] | None = None) -> int:
    """Compare and write what came out; returns the exit status."""
    options = _parser().parse_args(arguments)
    words = ["--only", *options.only, *(["--quick"] if options.quick else [])]
    out = options.out.resolve()
    try:
        commit = _commit(options.base)
        out.mkdir(parents=True, exist_ok=True)
        with _worktree(commit, out / "base") as base:
            found = _in_turns({"base": base, "now": _ROOT}, words, options.rounds, out)
    except _CallError as error:
        return _refuse(error, 2)
    except subprocess.CalledProcessError as error:
        return _refuse(error.stderr.strip(), 1)
    except (BrokenRunError, OSError) as error:
        return _refuse(error, 1)
    except KeyboardInterrupt:
        return _refuse("stopped", 1)
    changes, unpaired = changes_of(found["base"], found["now"])
    occasions = {side: dict(rounds[-1][0].occasion) for side, rounds in found.items()}
    record = {"base": commit, "is_quick": options.quick, "occasions": occasions}
    record |= {"changes": [change.to_json() for change in changes], "unpaired": unpaired}
    (out / COMPARISON).write_text(json.dumps(record, indent=1) + "\n")
    lines = [*table_of(changes), "", *_words(occasions, options, unpaired), ""]
    (out / TABLE).write_text("\n".join(["# This tree against another commit", "", *lines]))
    print("\n".join([*lines, f"wrote {options.out}"]), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    keys = (*TITLES, *ENGINE_TITLES)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Run benchmarks on another commit and on this tree, in turns, and print what changed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", help="a commit, branch or tag of this checkout")
    parser.add_argument("--only", nargs="+", choices=keys, default=["B9"], metavar="KEY", help="(default: B9)")
    parser.add_argument("--rounds", type=_num_rounds, default=4, metavar="N", help="turns of each tree (default: 4)")
    parser.add_argument("--quick", action="store_true", help="a cut of seconds, to see that everything runs")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench-compare"), metavar="DIR", help="(default: build/bench-compare)"
    )
    return parser


def _num_rounds(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100:
        raise argparse.ArgumentTypeError("must be 1 to 100")
    return number


def _commit(name: str) -> str:
    """The full name of a commit; _CallError if there is none."""
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        raise _CallError(
            f"{name}: no commit of this checkout, of which a shallow clone has only the last ones"
        ) from None


@contextmanager
def _worktree(commit: str, folder: Path) -> Iterator[Path]:
    """The files of a commit, in a folder that goes with the block."""
    # One that a killed run left.
    if folder.exists():
        _git("worktree", "remove", "--force", str(folder))
    _git("worktree", "add", "--quiet", "--detach", "--force", str(folder), commit)
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _in_turns(
    trees: dict[str, Path], words: Sequence[str], num_rounds: int, out: Path
) -> dict[str, list[list[Result]]]:
    """The results of each round, by tree; every other round begins with the other tree."""
    found: dict[str, list[list[Result]]] = {side: [] for side in trees}
    for number in range(num_rounds):
        for side in reversed(list(trees)) if number % 2 else trees:
            started = time.monotonic()
            found[side].append(_turn(side, trees[side], words, out / f"{side}-{number + 1}"))
            print(f"round {number + 1} of {num_rounds}, {side}: {time.monotonic() - started:.0f} s", flush=True)
    return found


def _turn(side: str, tree: Path, words: Sequence[str], out: Path) -> list[Result]:
    """One run of `python -m benchmarks` in a tree; BrokenRunError with its last words if it failed."""
    if not (tree / "benchmarks" / "__main__.py").exists():
        # An installed package would be run in its place.
        raise BrokenRunError(f"{side}: has no benchmarks")
    command = [sys.executable, "-m", "benchmarks", *words, "--out", str(out)]
    # The package may be installed from this tree; the one that is measured comes first.
    environment = os.environ | {"PYTHONPATH": str(tree)}
    ended = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BrokenRunError(f"{side} ({' '.join(words)}): {ended.stderr.strip()[-1500:] or ended.returncode}")
    return [Result.from_json(result) for result in json.loads((out / RESULTS).read_text())["results"]]


def _words(occasions: dict[str, dict[str, str]], options: argparse.Namespace, unpaired: Sequence[str]) -> list[str]:
    place = "commit {commit}, {machine} (load {load}), {versions}"
    sides = [f"* {side}: {occasion['date']}, {place.format(**occasion)}." for side, occasion in occasions.items()]
    alone = [f"* Only in one of them: {', '.join(sorted(unpaired))}."] if unpaired else []
    quick = ["* A quick run: it shows that everything works, its figures mean nothing."] if options.quick else []
    return [*sides, *alone, *quick]


def _git(*words: str) -> str:
    ended = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def _refuse(reason: object, status: int) -> int:
    print(f"python -m benchmarks.compare: {reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
