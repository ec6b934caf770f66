"""Pairs, photos and key points together: what one pair shows the model and what its picture is compared with.

Does not run the model (`xmdpt.evaluation.generators`). Everything that is missing is found before work starts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmdpt.evaluation.key_points import KeyPoints
from xmdpt.evaluation.mistakes import InputError
from xmdpt.evaluation.pairs import Pair
from xmdpt.evaluation.photos import Photos
from xmdpt.skeleton import draw_skeleton


@dataclass(frozen=True)
class Dataset:
    """The pairs of one evaluation.

    Attributes:
        pair_file: for messages.
        pairs: in the file's order.
        photos: that they name.
        key_points: of the targets; None until they are estimated.
        aspect: width by height of all photos before they were stretched; None: what each photo says.
    """

    pair_file: Path
    pairs: list[Pair]
    photos: Photos
    key_points: KeyPoints | None
    aspect: float | None = None

    def check(self) -> None:
        """Look for every photo that the pairs name, and for every pose if there are key points.

        Raises:
            InputError: one is missing; the message names the pair file, its line and the photo.
        """
        for pair in self.pairs:
            for name in (pair.target, pair.source):
                if not self.photos.has(name):
                    raise self._missing(pair, f"no photo {name} in {self.photos.where()}; correct --data or the line")
            if self.key_points and not self.key_points.has(pair.target):
                where = self.key_points.where()
                raise self._missing(pair, f"no key points of {pair.target} in {where}; correct --key-points")

    def source(self, pair: Pair) -> NDArray[np.uint8]:
        """Return the photo of the person, [256, 256, 3] uint8 RGB."""
        return self._photo(pair, pair.source)

    def target(self, pair: Pair) -> NDArray[np.uint8]:
        """Return the true photo of that person in the pose, [256, 256, 3] uint8 RGB."""
        return self._photo(pair, pair.target)

    def skeleton(self, pair: Pair) -> NDArray[np.uint8]:
        """Return the target's pose as a skeleton picture, [256, 256, 3] uint8 RGB."""
        return draw_skeleton(self.pose(pair))

    def pose(self, pair: Pair) -> NDArray[np.float64]:
        """Return the target's key points, [18, 2] float64 (x, y) in px of the 256 px square; -1, -1 where missing."""
        if self.key_points is None:
            raise ValueError("the key points have not been estimated yet")
        return self.key_points.of(pair.target)

    def target_aspect(self, pair: Pair) -> float:
        """Return width by height of the true photo, before it was stretched to the square."""
        return self.photos.aspect(pair.target) if self.aspect is None else self.aspect

    def _photo(self, pair: Pair, name: str) -> NDArray[np.uint8]:
        try:
            return self.photos.photo(name)
        except InputError as error:
            raise self._missing(pair, str(error)) from None

    def _missing(self, pair: Pair, what: str) -> InputError:
        return InputError(f"{self.pair_file}:{pair.line}: {what}")
