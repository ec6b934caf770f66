"""The loop of every training run: steps, progress, log, checkpoints, and pictures of how far it is.

Does not know what is trained (`xmdpt.training.autoencoder`, `xmdpt.training.denoiser`).
"""

import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor
from tqdm import tqdm

from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.training import parallel
from xmdpt.training.curves import save_curves
from xmdpt.training.run_files import RunFolder

_LOG_EVERY_STEPS = 50


@dataclass(frozen=True)
class Look:
    """How far a run is: figures of held-out data by name, and a sheet for the eye."""

    figures: Mapping[str, float]
    sheet: Image.Image


class Task(Protocol):
    """What is trained."""

    def step(self, index: int) -> Mapping[str, float | Tensor]:
        """Make step `index`, 0 the first, which depends on the state and the index alone; return its losses."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return all that the next step depends on."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        ...

    def look(self) -> Look:
        """Measure on held-out data."""
        ...

    def publish(self) -> None:
        """Write the weights as others read them."""
        ...


@dataclass(frozen=True)
class Pace:
    """How long a run is and how often it writes.

    Attributes:
        num_steps: of the whole run.
        samples_per_step: for the rate that is shown.
        save_seconds: between two checkpoints.
        look_seconds: between two looks at held-out data.
        limit_seconds: after which the run stops early, its state saved; None for never.
    """

    num_steps: int
    samples_per_step: int
    save_seconds: float
    look_seconds: float
    limit_seconds: float | None = None


def train(task: Task, folder: RunFolder, pace: Pace, words: str) -> bool:
    """Make a run's steps from where it stands; shows progress on the error stream.

    A run that is stopped, by Ctrl-C or SIGTERM, leaves its state behind; one that is killed goes back to its last
    checkpoint.

    Args:
        task: what is trained.
        folder: where the run stands.
        pace: how long, how often.
        words: before the progress bar.

    Returns:
        Whether all steps are made.
    """
    done, state = folder.load()
    if done == pace.num_steps:
        return True
    task.load_state(state)
    del state
    started = saved = looked = time.monotonic()
    losses: dict[str, list[float]] = defaultdict(list)
    # Where several processes train together, the first one shows and writes.
    is_first = parallel.rank() == 0
    with (
        _StopSignal() as stop,
        tqdm(total=pace.num_steps, initial=done, desc=words, unit="step", smoothing=0.02, disable=not is_first) as bar,
    ):
        while done < pace.num_steps and not parallel.is_any(stop.is_asked):
            for name, value in task.step(done).items():
                losses[name].append(float(value))
            done += 1
            bar.update()
            now = time.monotonic()
            if pace.limit_seconds is not None and now - started > pace.limit_seconds:
                stop.is_asked = True
            if not is_first:
                continue
            if done % _LOG_EVERY_STEPS == 0:
                means = {name: sum(values) / len(values) for name, values in losses.items()}
                rate = (bar.format_dict["rate"] or 0.0) * pace.samples_per_step
                folder.log({"step": done, "seconds": round(now - started, 1), "rate": round(rate, 1), **means})
                bar.set_postfix_str(f"{rate:.0f} samples/s, " + ", ".join(f"{n} {v:.4f}" for n, v in means.items()))
                losses.clear()
            if now - saved > pace.save_seconds:
                folder.save(done, task.state())
                saved = time.monotonic()
            if now - looked > pace.look_seconds:
                _look(task, folder, done)
                looked = time.monotonic()
        if is_first:
            folder.save(done, task.state())
    if is_first:
        _look(task, folder, done)
    return done == pace.num_steps


@contextmanager
def told_errors(out: Path) -> Iterator[None]:
    """Within this context what the disk or a file of weights does is an error to tell, not a traceback.

    Raises:
        InputError: weights are of another network or can't be written as float16.
        RunError: a file can't be read or written.
    """
    try:
        yield
    except CheckpointError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise RunError(f"{error.filename or out}: {error.strerror or error}") from None


def end_of(out: Path, is_done: bool) -> str:
    """Return what to say on the terminal when a run ends."""
    return f"{out}: {'done' if is_done else 'stopped; the same command goes on from here'}"


class _StopSignal:
    """Within this context Ctrl-C and SIGTERM ask once to stop, after a whole step; the second one stops at once."""

    def __init__(self) -> None:
        self.is_asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_StopSignal":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True


def _look(task: Task, folder: RunFolder, done: int) -> None:
    look = task.look()
    folder.log({"step": done, **look.figures})
    look.sheet.save(folder.path / f"sheet_{done:07d}.png")
    save_curves(folder.lines(), folder.path / "curves.png")
    task.publish()
    tqdm.write(f"step {done}: " + ", ".join(f"{name} {value:.4g}" for name, value in look.figures.items()))
