"""Pictures prepared for the denoiser once, so that its training runs neither renderer nor autoencoder.

A folder holds chunks, each of some persons in some views: latents, and photo and skeleton as the extractors' `shrink`
makes them. What the demo's extractors do not shrink exactly to 8 bits is off by at most half a level.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmdpt.evaluation.mistakes import InputError
from xmdpt.nn.conv_extractor import ConvExtractor
from xmdpt.nn.patch_vae import PatchVae
from xmdpt.nn.pixels import to_pixels
from xmdpt.skeleton import draw_skeleton
from xmdpt.training.batches import Batch
from xmdpt.training.mixed_precision import mixed_precision
from xmdpt.training.whole_files import whole_file

PERSONS_PER_CHUNK = 100
_CHUNK_GLOB = "chunk_*.npz"


@dataclass(frozen=True)
class Chunk:
    """Persons N in views V.

    Attributes:
        latents: [N, V, 4, 32, 32] f16, normalised.
        photos: [N, V, 64, 64, 3] u8.
        skeletons: [N, V, 64, 64, 3] u8.
    """

    latents: NDArray[np.float16]
    photos: NDArray[np.uint8]
    skeletons: NDArray[np.uint8]

    def save(self, path: Path) -> None:
        """Write the chunk; a kill at any moment leaves no half of it under this name."""
        with whole_file(path) as new, new.open("wb") as file:
            np.savez(file, latents=self.latents, photos=self.photos, skeletons=self.skeletons)


def prepared_with(folder: Path) -> dict[str, Any]:
    """Return what a folder was prepared from.

    Raises:
        InputError: it is no folder of `xmdpt.training.prepare`.
    """
    try:
        described = json.loads((folder / "run.json").read_text())
        return {"persons": described["persons"], "autoencoder": described["autoencoder"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder} holds no prepared pictures: make some by python -m xmdpt.training prepare"
        ) from None


def chunk_path(folder: Path, number: int) -> Path:
    """Return where the chunk of a number stands."""
    return folder / _CHUNK_GLOB.replace("*", f"{number:05d}")


@torch.inference_mode()
def prepare_chunk(vae: PatchVae, pictures: NDArray[np.uint8], key_points: NDArray[np.float32]) -> Chunk:
    """Return the chunk of some pictures.

    Args:
        vae: the trained autoencoder.
        pictures: [N, V, 256, 256, 3] u8.
        key_points: [N, V, 18, 2].
    """
    places = pictures.shape[:2]
    flat = pictures.reshape(-1, *pictures.shape[2:])
    with mixed_precision():
        encoded = [vae.encode_mode(to_pixels(part)) for part in np.array_split(flat, len(flat) // 8 + 1)]
    latents = torch.cat(encoded).half()
    skeletons = np.stack([draw_skeleton(points) for points in key_points.reshape(-1, 18, 2)])
    return Chunk(latents.numpy().reshape(*places, *latents.shape[1:]), *(_shrunk(x, places) for x in (flat, skeletons)))


class PreparedPairs:
    """Random pairs of two different views of one person, from all chunks of a folder."""

    def __init__(self, folder: Path, seed: int, autoencoder: str) -> None:
        """Read the folder into memory.

        Args:
            folder: of `xmdpt.training.prepare`.
            seed: of the pairs that are drawn.
            autoencoder: digest of the file that the latents must be of.

        Raises:
            InputError: it is not whole, or was prepared with another autoencoder.
        """
        described = prepared_with(folder)
        paths = sorted(folder.glob(_CHUNK_GLOB))
        if len(paths) < -(-described["persons"] // PERSONS_PER_CHUNK):
            raise InputError(f"{folder} is not whole: let python -m xmdpt.training prepare go on to its end")
        if described["autoencoder"] != autoencoder:
            raise InputError(f"{folder} was prepared with another autoencoder: give the same --autoencoder")
        self._seed = seed
        chunks = [_read_chunk(path) for path in paths]
        self.latents = np.concatenate([chunk.latents for chunk in chunks])
        self.photos = np.concatenate([chunk.photos for chunk in chunks])
        self.skeletons = np.concatenate([chunk.skeletons for chunk in chunks])

    def batch(self, index: int, size: int) -> Batch:
        """See Batches."""
        random = np.random.default_rng([self._seed, index])
        persons, views = self.latents.shape[:2]
        who = random.integers(persons, size=size)
        source = random.integers(views, size=size)
        target = (source + random.integers(1, views, size=size)) % views
        return self.pairs(who, source, target)

    def pairs(self, who: NDArray[np.int64], source: NDArray[np.int64], target: NDArray[np.int64]) -> Batch:
        """Return the pairs of persons [B] in their views source [B] and target [B]."""
        return Batch(
            torch.from_numpy(self.latents[who, target]).float(),
            torch.from_numpy(self.latents[who, source]).float(),
            to_pixels(self.photos[who, source]),
            _unit(self.skeletons[who, target]),
        )


def _read_chunk(path: Path) -> Chunk:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Chunk(arrays["latents"], arrays["photos"], arrays["skeletons"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}): delete it and prepare again") from None


def _shrunk(pictures: NDArray[np.uint8], places: tuple[int, ...]) -> NDArray[np.uint8]:
    """[N V, 256, 256, 3] to [N, V, 64, 64, 3]."""
    small = ConvExtractor.shrink(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    return small.round().byte().permute(0, 2, 3, 1).numpy().reshape(*places, *small.shape[2:], 3)


def _unit(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
