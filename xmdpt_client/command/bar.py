"""Progress as a bar on a terminal, and as nothing anywhere else."""

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Any

from xmdpt_client.values import Progress


@contextlib.contextmanager
def progress_bar(*, quiet: bool) -> Generator[Callable[[Progress], object] | None]:
    """What to call with each progress; None if nobody would see the bar."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource, reportMissingTypeStubs, reportUnknownVariableType]

    # tqdm has no types of its own.
    bar: Any
    with tqdm(unit="step", leave=False, file=sys.stderr) as bar:

        def show(progress: Progress) -> None:
            bar.total, bar.n = progress.steps, progress.step
            bar.set_description_str(progress.stage or progress.status, refresh=False)
            bar.set_postfix_str(_forecast(progress), refresh=False)
            bar.refresh()

        yield show


@contextlib.contextmanager
def items_bar(what: str, *, quiet: bool) -> Generator[Callable[[int, int], object] | None]:
    """What to call with each number of items done and that of all; None if nobody would see the bar."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource, reportMissingTypeStubs, reportUnknownVariableType]

    bar: Any
    with tqdm(desc=what, unit="item", leave=False, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _forecast(progress: Progress) -> str:
    return f"ends in about {progress.eta.p50_seconds:.1f} s" if progress.eta else ""
