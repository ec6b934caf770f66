"""A second look for persons that are small in a photo: the detector sees parts of it, each half as long as the whole.

Does not find poses (`xmdpt.pose_estimation.estimator`).
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.estimator import PoseEstimator
from xmdpt.pose_estimation.regions import Region

_SHARE = 0.5
# Parts of pictures without anybody look like persons more often than the whole does, but never this much.
_LEAST_SCORE = 0.7


def detect_in_parts(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> list[Region]:
    """Find the regions of persons that are large in a part, by falling score; a person may be found in several parts.

    Args:
        estimator: its detector is asked nine times at most.
        photo: [H, W, 3] uint8 RGB, upright and not stretched.
    """
    found: list[Region] = []
    for left, top, right, bottom in _parts(photo.shape[1], photo.shape[0]):
        for region in estimator.detect(photo[top:bottom, left:right]):
            if region.score >= _LEAST_SCORE:
                x, y = region.centre
                found.append(replace(region, centre=(x + left, y + top)))
    return sorted(found, key=lambda region: -region.score)


def _parts(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right and bottom in px of squares, or less along a short side, each half over the next."""
    side = math.ceil(_SHARE * max(width, height))
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield left, top, min(left + side, width), min(top + side, height)


def _starts(length: int, side: int) -> list[int]:
    num_steps = math.ceil(max(length - side, 0) / (side / 2))
    return [round((length - side) * step / num_steps) for step in range(num_steps + 1)] if num_steps else [0]
