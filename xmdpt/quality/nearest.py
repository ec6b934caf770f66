"""Nearest truths: whether a generated picture is nearer to its own truth than to those of other persons.

Does not see pictures itself (`xmdpt.quality.features`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.quality.features import FeatureExtractor, distance_matrix
from xmdpt.quality.held_out import Pictures


@dataclass(frozen=True)
class NearestTruths:
    """What stands nearest to each of N generated pictures.

    Attributes:
        distances: [N, N] feature distance of picture i from truth j.
    """

    distances: NDArray[np.float64]

    @property
    def nearest(self) -> list[int]:
        """The truth that each picture is nearest to; the first of equals."""
        return self.distances.argmin(axis=1).tolist()

    @property
    def ranks(self) -> list[int]:
        """1 where a picture's own truth is its nearest, N where it is the farthest; of equals the own comes first."""
        own = np.diag(self.distances)[:, None]
        return (1 + (self.distances < own).sum(axis=1)).tolist()

    @property
    def num_own(self) -> int:
        """Pictures whose own truth is the nearest."""
        return self.ranks.count(1)


def nearest_truths(pictures: Pictures, truths: Pictures, extractor: FeatureExtractor) -> NearestTruths:
    """Compare each picture [N, 256, 256, 3] with every truth of the same shape."""
    return NearestTruths(distance_matrix(extractor.features(pictures), extractor.features(truths)))
