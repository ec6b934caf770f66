"""One run of the autoencoder's training: `python -m xmdpt.training autoencoder`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmdpt.evaluation.mistakes import InputError
from xmdpt.spec import PatchVaeConfig
from xmdpt.training import parallel
from xmdpt.training.autoencoder import AutoencoderTask
from xmdpt.training.configuration import read_recipe
from xmdpt.training.loop import Pace, end_of, told_errors, train
from xmdpt.training.prepare import read_autoencoder
from xmdpt.training.rendered_folder import read_lines, read_png
from xmdpt.training.run_files import RunFolder

_NUM_HELD_OUT = 32


@dataclass(frozen=True)
class AutoencoderRequest:
    """What to train.

    Attributes:
        config: name or path of the recipe.
        data: folder of `render`; the last 32 pairs are held out.
        out: folder of the run.
        init: weights to start from.
        save_seconds, look_seconds, limit_seconds: see `xmdpt.training.loop.Pace`.
    """

    config: str
    data: Path
    out: Path
    init: Path | None
    save_seconds: float
    look_seconds: float
    limit_seconds: float | None


def train_autoencoder(request: AutoencoderRequest) -> str:
    """Train from where the run stands; returns one line for the terminal.

    Raises:
        InputError: the recipe has no autoencoder, the data can't be read, or the folder holds another run.
    """
    recipe, variant = read_recipe(request.config)
    if recipe.autoencoder is None or not isinstance(variant.vae, PatchVaeConfig):
        raise InputError(f"the autoencoder of {variant.name} is frozen: nothing to train")
    pictures = RenderedPictures(_paths(request.data))
    if len(pictures) <= 2 * _NUM_HELD_OUT:
        raise InputError(f"{request.data} holds {len(pictures)} pictures; more than {2 * _NUM_HELD_OUT} are needed")
    with told_errors(request.out):
        folder = RunFolder(request.out, {**recipe.description("autoencoder"), "jobs": parallel.count()})
        init = read_autoencoder(variant.vae, request.init).state_dict() if request.init else None
        config = recipe.autoencoder
        task = AutoencoderTask(
            variant.vae,
            config,
            pictures[: -2 * _NUM_HELD_OUT],
            list(pictures[-2 * _NUM_HELD_OUT :: 2]),
            request.out,
            recipe.seed,
            init,
        )
        pace = Pace(
            config.num_steps, config.batch_size, request.save_seconds, request.look_seconds, request.limit_seconds
        )
        return end_of(request.out, train(task, folder, pace, "autoencoder"))


class RenderedPictures(Sequence[NDArray[np.uint8]]):
    """Pictures of a rendered folder, [256, 256, 3] u8 each, read when they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> Any:
        """Return a picture, or for a slice the same sequence of fewer."""
        if isinstance(index, slice):
            return RenderedPictures(self._paths[index])
        return read_png(self._paths[index])


def _paths(folder: Path) -> list[Path]:
    """Both pictures of pair 0, both of pair 1, ..."""
    return [folder / line[which] for line in read_lines(folder) for which in ("source", "target")]
