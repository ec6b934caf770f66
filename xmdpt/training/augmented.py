"""Pairs of pictures as the paper trains on them: each picture cut out of a slightly larger one, pairs mirrored.

Source:
    Pham et al. 2024 (X-MDPT), the released code's data set; its augmentation draws once a batch who is source.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from xmdpt.skeleton import MISSING, draw_skeleton
from xmdpt.spec import IMAGE_SIZE
from xmdpt.training.batches import Batch
from xmdpt.training.pairs import RenderedPair
from xmdpt.training.preparation import Preparation

_MAX_SCALE = 1.05

Picture = tuple[NDArray[np.uint8], NDArray[np.float64]]
"""[256, 256, 3] u8 and key points [18, 2] in its px."""


class AugmentedPairs:
    """Random pairs of a data set, augmented, through the frozen networks."""

    def __init__(self, pairs: Sequence[RenderedPair], preparation: Preparation, seed: int) -> None:
        self._pairs, self._preparation, self._seed = pairs, preparation, seed

    def batch(self, index: int, size: int) -> Batch:
        """See Batches."""
        random = np.random.default_rng([self._seed, index])
        is_exchanged = random.random() < 0.5
        drawn = []
        for number in random.integers(len(self._pairs), size=size):
            item = self._pairs[int(number)]
            pair = [
                enlarged(picture.numpy(), points.numpy(), 1 + random.random() * (_MAX_SCALE - 1), random)
                for picture, points in (
                    (item.source, item.source_key_points), (item.target, item.target_key_points)
                )
            ]  # fmt: skip
            pair = pair[::-1] if is_exchanged else pair
            drawn.append([mirrored(*one) for one in pair] if random.random() < 0.5 else pair)
        sources = np.stack([source[0] for source, _ in drawn])
        targets = np.stack([target[0] for _, target in drawn])
        skeletons = np.stack([draw_skeleton(target[1]) for _, target in drawn])
        noise = torch.Generator().manual_seed(int(random.integers(2**62)))
        return self._preparation.batch(sources, targets, skeletons, noise)


def enlarged(
    picture: NDArray[np.uint8], key_points: NDArray[np.floating], scale: float, random: np.random.Generator
) -> Picture:
    """Return a random 256 px square of the picture at `scale`, 1 or more, and where its key points are then."""
    size = int(IMAGE_SIZE * scale)
    large = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
    left, top = random.integers(size - IMAGE_SIZE + 1, size=2)
    moved = key_points * (size / IMAGE_SIZE) - (left, top)
    is_missing = (key_points == MISSING).any(axis=1)
    return large[top : top + IMAGE_SIZE, left : left + IMAGE_SIZE], np.where(is_missing[:, None], MISSING, moved)


def mirrored(picture: NDArray[np.uint8], key_points: NDArray[np.floating]) -> Picture:
    """Return both mirrored; left stays left by name, as in the paper: its colours then stand on the other side."""
    is_missing = (key_points == MISSING).any(axis=1)
    flipped = np.stack([IMAGE_SIZE - 1 - key_points[:, 0], key_points[:, 1]], axis=1)
    return np.ascontiguousarray(picture[:, ::-1]), np.where(is_missing[:, None], MISSING, flipped)
