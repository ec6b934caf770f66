"""Renders many pairs into a folder, on all cores: the body of `python -m xmdpt.training render`.

Does not own the folder's format (`xmdpt.training.rendered_folder`) nor the renderer (`xmdpt.persons`). Needs no torch.
"""

import itertools
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from xmdpt.evaluation.mistakes import RunError
from xmdpt.persons.domain import DOMAINS
from xmdpt.persons.rasteriser import load_rasteriser
from xmdpt.persons.render import render_pair
from xmdpt.training.rendered_folder import (
    LINES,
    Settings,
    count_lines,
    has_files,
    line_of,
    make_folders,
    write_files,
)
from xmdpt.training.workers import begin_work

# Pairs that a worker renders at one go, and how many such pieces wait for each worker: enough to keep it busy, few
# enough that memory does not grow with the number of pairs.
_PIECE = 8
_PIECES_PER_JOB = 3


@dataclass(frozen=True)
class RenderRequest:
    """What to render.

    Attributes:
        out: folder, made if need be.
        pairs: how many the folder shall hold.
        settings: seed, domain and split.
        jobs: processes.
    """

    out: Path
    pairs: int
    settings: Settings
    jobs: int


def render(request: RenderRequest) -> str:
    """Render the pairs that the folder lacks; shows progress on the error stream.

    Returns:
        One line for the terminal.

    Raises:
        InputError: the folder holds pairs of another kind.
        RunError: the disk or a process failed; what is written stays good.
    """
    try:
        make_folders(request.out)
        num_told = count_lines(request.out, request.settings)
        missing = [index for index in range(min(num_told, request.pairs)) if not has_files(request.out, index)]
        _render(request, num_told, missing)
    except OSError as error:
        raise RunError(f"{error.filename or request.out}: {error.strerror or error}") from None
    except BrokenProcessPool:
        raise RunError("a process died, perhaps for want of memory; fewer --jobs need less") from None
    num_kept = min(num_told, request.pairs) - len(missing)
    return f"{request.out}: {request.pairs - num_kept} pairs rendered, {num_kept} kept"


def _render(request: RenderRequest, num_told: int, missing: Sequence[int]) -> None:
    """Render the told pairs whose files are missing, then those that are not told of yet."""
    if not missing and num_told >= request.pairs:
        return
    again = (missing[low : low + _PIECE] for low in range(0, len(missing), _PIECE))
    new = (range(low, min(low + _PIECE, request.pairs)) for low in range(num_told, request.pairs, _PIECE))
    # Once, before all workers would; and here a missing compiler is told of once.
    load_rasteriser()
    with ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=request.pairs, initial=min(num_told, request.pairs) - len(missing), unit="pair", desc="render")
        )
        lines = stack.enter_context((request.out / LINES).open("a", encoding="utf-8"))
        for piece, texts in _rendered(request, itertools.chain(again, new)):
            if piece[0] >= num_told:
                lines.writelines(text + "\n" for text in texts)
                lines.flush()
            bar.update(len(piece))


def _rendered(request: RenderRequest, pieces: Iterable[Sequence[int]]) -> Iterator[tuple[Sequence[int], list[str]]]:
    """Yield pieces in their order with the lines of their pairs, whose files are written."""
    # A fresh interpreter a worker: what a fork would copy of this one, locks and threads, may not be fit for use.
    pool = ProcessPoolExecutor(request.jobs, multiprocessing.get_context("spawn"), initializer=begin_work)
    waiting: deque[tuple[Sequence[int], Future[list[str]]]] = deque()
    try:
        for piece in pieces:
            waiting.append((piece, pool.submit(_render_piece, request.out, request.settings, piece)))
            if len(waiting) >= request.jobs * _PIECES_PER_JOB:
                done, future = waiting.popleft()
                yield done, future.result()
        for piece, future in waiting:
            yield piece, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _render_piece(folder: Path, settings: Settings, piece: Sequence[int]) -> list[str]:
    lines = []
    for index in piece:
        pair = render_pair(settings.seed + index, DOMAINS[settings.domain], settings.split)
        write_files(folder, index, pair)
        lines.append(line_of(index, pair, settings))
    return lines
