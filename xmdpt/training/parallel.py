"""Training on several processes of one computer, each with a part of every batch and one thread.

On a CPU two processes make nearly twice the steps of one, where two threads of one process wait for each other at every
operation. The processes hold the same weights and exchange gradients once a step.
"""

import os
import signal
import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import ProcessContext, spawn

from xmdpt.evaluation.mistakes import RunError

Result = TypeVar("Result")

# While one process measures or writes, the others wait for its next gradients.
_PATIENCE = timedelta(hours=2)
_LAST_WORDS_SECONDS = 10


def on_processes(function: Callable[..., Result], count: int, *arguments: Any) -> Result:
    """Call a function of a module in `count` processes that exchange gradients; this process is the first of them.

    Returns:
        What it returned in this process.

    Raises:
        RunError: the function failed in another process.
    """
    if count == 1:
        return function(*arguments)
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        others = spawn(_other, (function, count, meeting, arguments), nprocs=count - 1, join=False)
        assert others is not None
        try:
            _join(0, count, meeting)
            result = function(*arguments)
            distributed.destroy_process_group()
        except BaseException as error:
            if isinstance(error, RuntimeError):
                _tell_of_others(others)
            for process in others.pids():
                os.kill(process, signal.SIGKILL)
            raise
        while not others.join():
            pass
    return result


def rank() -> int:
    """Return which of the processes this is; 0 is the one that writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number_of(index: int) -> int:
    """Return a number for step `index` of this process, by which it draws its own part of the batch."""
    return index * count() + rank()


def average(tensors: Iterable[Tensor]) -> None:
    """Replace float32 tensors by their means over all processes; all of them must call this with the same shapes."""
    if count() == 1:
        return
    tensors = list(tensors)
    together = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(together)
    together /= count()
    for tensor, mean in zip(tensors, together.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def _tell_of_others(others: ProcessContext) -> None:
    """Raise RunError with what another process ended by, of which this one saw no more than a closed connection."""
    try:
        others.join(timeout=_LAST_WORDS_SECONDS)
    except Exception as error:
        raise RunError(f"a process failed: {str(error).strip().splitlines()[-1]}") from None


def is_any(flag: bool) -> bool:
    """Return whether the flag is set in any process; all of them must call this."""
    if count() == 1:
        return flag
    asked = torch.tensor([float(flag)])
    distributed.all_reduce(asked)
    return bool(asked > 0)


def _other(index: int, function: Callable[..., object], count: int, meeting: Path, arguments: tuple[Any, ...]) -> None:
    _join(index + 1, count, meeting)
    function(*arguments)
    distributed.destroy_process_group()


def _join(rank: int, count: int, meeting: Path) -> None:
    # Without this, gloo looks for the address of the computer's own name, which not every computer knows.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{meeting}", timeout=_PATIENCE, world_size=count, rank=rank)
