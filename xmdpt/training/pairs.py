"""Rendered pairs as PyTorch data sets: from a folder, or rendered as they are asked for.

Does not render (`xmdpt.persons.render`) nor know the folder's format (`xmdpt.training.rendered_folder`).
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from xmdpt.persons.body import Split
from xmdpt.persons.domain import VARIED, Domain
from xmdpt.persons.render import render_pair
from xmdpt.skeleton import draw_skeleton
from xmdpt.training.rendered_folder import read_lines, read_png


class RenderedPair(NamedTuple):
    """One person in two poses; torch's default collation stacks each field.

    Attributes:
        source: [256, 256, 3] uint8, the photo of the person.
        target: [256, 256, 3] uint8, the same person in the pose that is asked for.
        skeleton: [256, 256, 3] uint8, that pose.
        source_key_points, target_key_points: [18, 2] float32 px, -1, -1 where missing.
        source_materials, target_materials: [256, 256] uint8 of `xmdpt.persons.layers.Material`.
    """

    source: Tensor
    target: Tensor
    skeleton: Tensor
    source_key_points: Tensor
    target_key_points: Tensor
    source_materials: Tensor
    target_materials: Tensor


class RenderedPairs(Dataset[RenderedPair]):
    """The pairs of a folder that `python -m xmdpt.training render` made."""

    def __init__(self, folder: Path) -> None:
        """Read what the folder tells of.

        Args:
            folder: holds pairs.jsonl.

        Raises:
            InputError: there is no such file, or it is damaged.
        """
        self._folder = folder
        lines = list(read_lines(folder))
        # Arrays rather than lists of objects, which the processes of a data loader would copy one by one.
        self._key_points = np.array([[line[f"{w}_key_points"] for w in ("source", "target")] for line in lines], "f4")
        self._names = np.array([[line[name] for name in _FILES] for line in lines])

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> RenderedPair:
        """Return pair `index`.

        Raises:
            InputError: a file is missing or damaged.
        """
        pictures = (read_png(self._folder / str(name)) for name in self._names[index])
        return _item(*pictures, *self._key_points[index])


class PairsOnTheFly(Dataset[RenderedPair]):
    """Pairs that are rendered as they are asked for, 50 ms each on one core; the same ones at every pass."""

    def __init__(self, length: int, domain: Domain = VARIED, split: Split = "train", seed: int = 0) -> None:
        """Describe them.

        Args:
            length: how many there are.
            domain: what to expect.
            split: whose identities.
            seed: pair i is the person of seed + i, as in a rendered folder.
        """
        self._length, self._domain, self._seed = length, domain, seed
        self._split: Split = split

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> RenderedPair:
        """Render pair `index`, 0 or above."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        source, target = render_pair(self._seed + index, self._domain, self._split).views
        return _item(
            source.picture, target.picture, source.materials, target.materials, source.key_points, target.key_points
        )


_FILES = ("source", "target", "source_materials", "target_materials")


def _item(
    source: NDArray[np.uint8],
    target: NDArray[np.uint8],
    source_materials: NDArray[np.uint8],
    target_materials: NDArray[np.uint8],
    source_key_points: NDArray[Any],
    target_key_points: NDArray[Any],
) -> RenderedPair:
    skeleton = draw_skeleton(target_key_points)
    arrays = (source, target, skeleton, source_key_points, target_key_points, source_materials, target_materials)
    return RenderedPair(*map(torch.from_numpy, arrays))
