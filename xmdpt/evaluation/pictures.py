"""The folder of drawn pictures: makes what is missing, keeps what is there, refuses what is of another run.

Does not score them (`xmdpt.evaluation.scores`). Every PNG carries the digest of all that it was drawn from, so a run
that was stopped goes on, and one with other settings does not mix with it.
"""

import hashlib
import os
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.generators import Generator, Model, Sampling
from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.evaluation.pairs import Pair
from xmdpt.spec import IMAGE_SIZE

_MARK = "xmdpt-request"


@dataclass(frozen=True)
class Tally:
    """How the pictures of a run came about; `num_foreign` of those kept bear no mark of ours."""

    num_made: int = 0
    num_kept: int = 0
    num_foreign: int = 0


@dataclass(frozen=True)
class PictureRequest:
    """One picture that is to be in a folder: where, and what it is drawn from.

    Attributes:
        path: of the PNG.
        photo: [256, 256, 3] uint8 RGB; likewise skeleton.
        seed: of its noise.
    """

    path: Path
    photo: NDArray[np.uint8]
    skeleton: NDArray[np.uint8]
    seed: int

    def mark(self, model: Model, sampling: Sampling) -> str:
        """The digest of all that the picture depends on."""
        digest = hashlib.sha256(repr((model.digest, astuple(sampling), self.seed)).encode())
        digest.update(self.photo.tobytes() + self.skeleton.tobytes())
        return digest.hexdigest()


def picture_path(folder: Path, pair: Pair) -> Path:
    """Return where the picture of a pair stands."""
    return folder / f"{pair.index:05d}.png"


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return a picture of the folder, [256, 256, 3] uint8 RGB.

    Raises:
        InputError: it is damaged or has another size.
    """
    return _read(path)[0]


def make_pictures(
    dataset: Dataset, generator: Generator, sampling: Sampling, seed: int, batch_size: int, folder: Path
) -> Tally:
    """Draw the picture of every pair that has none yet; shows progress on the error stream.

    Args:
        dataset: the pairs with their photos and poses.
        generator: draws.
        sampling: how.
        seed: the picture of pair i starts from the noise of seed + i.
        batch_size: pictures drawn at once.
        folder: made if need be.

    Raises:
        InputError: a picture in the folder was drawn from something else.
        RunError: drawing or writing failed; what is written stays good.
    """
    num_made, num_kept, num_foreign = 0, 0, 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}; give another --out") from None
    pending: list[PictureRequest] = []
    with tqdm(total=len(dataset.pairs), desc="pictures", unit="picture") as progress:
        for place, pair in enumerate(dataset.pairs, start=1):
            path = picture_path(folder, pair)
            request = PictureRequest(path, dataset.source(pair), dataset.skeleton(pair), seed + pair.index)
            if path.exists():
                num_kept += 1
                num_foreign += not is_ours(request, generator.model, sampling)
                progress.update()
            else:
                pending.append(request)
            if len(pending) == batch_size or (pending and place == len(dataset.pairs)):
                draw_pictures(pending, generator, sampling)
                num_made += len(pending)
                progress.update(len(pending))
                pending = []
    return Tally(num_made, num_kept, num_foreign)


def draw_pictures(requests: list[PictureRequest], generator: Generator, sampling: Sampling) -> None:
    """Draw pictures in one batch and write each to its place, which is there and has none.

    Raises:
        RunError: drawing or writing failed; what is written stays good.
    """
    photos = np.stack([request.photo for request in requests])
    skeletons = np.stack([request.skeleton for request in requests])
    pictures = generator.pictures(photos, skeletons, [request.seed for request in requests], sampling)
    for request, picture in zip(requests, pictures, strict=True):
        info = PngInfo()
        info.add_text(_MARK, request.mark(generator.model, sampling))
        unfinished = request.path.with_suffix(".part")
        try:
            Image.fromarray(picture).save(unfinished, "png", pnginfo=info)
            # Renamed when whole: a run that is killed leaves no half picture to be kept.
            os.replace(unfinished, request.path)
        except OSError as error:
            raise RunError(f"{request.path}: {error.strerror or error}") from None


def is_ours(request: PictureRequest, model: Model, sampling: Sampling) -> bool:
    """Whether a picture that is there was drawn by this program; a foreign one is taken as it is.

    Raises:
        InputError: it was drawn by this program from something else, or it is damaged.
    """
    _, mark = _read(request.path)
    if mark not in {None, request.mark(model, sampling)}:
        raise InputError(
            f"{request.path}: drawn with another model, data, seed or settings; give another --out or remove the folder"
        )
    return mark is not None


def _read(path: Path) -> tuple[NDArray[np.uint8], str | None]:
    try:
        with Image.open(path) as image:
            picture, mark = np.array(image.convert("RGB")), image.info.get(_MARK)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a picture that can be decoded: {error}; remove it") from None
    if picture.shape != (IMAGE_SIZE, IMAGE_SIZE, 3):
        raise InputError(f"{path}: {picture.shape[1]} x {picture.shape[0]} px instead of {IMAGE_SIZE} x {IMAGE_SIZE}")
    return picture, mark
