"""PCK: the share of a pose's key points that were found in their place.

Does not find them (`xmdpt.pose_estimation.estimator`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmdpt.skeleton import MISSING
from xmdpt.spec import IMAGE_SIZE

THRESHOLD = 0.05
"""How far from its place a key point may lie, as part of the picture's side: 12.8 px of the 256 px square."""


class CorrectCount(NamedTuple):
    """Key points that count, and how many of them were found in their place; counts of several poses add up."""

    num_correct: int
    num_true: int


def count_correct(
    estimated: NDArray[np.floating],
    true: NDArray[np.floating],
    threshold: float = THRESHOLD,
    side_px: float = IMAGE_SIZE,
) -> CorrectCount:
    """Compare an estimated pose with the true one.

    Args:
        estimated: [18, 2] (x, y) in px, -1, -1 where missing: such a point is wrong.
        true: [18, 2] likewise; what is missing here does not count, and cannot be wrong.
        threshold: part of `side_px`; a point at just this distance is correct.
        side_px: of the picture, or of the person where PCK is wanted relative to that.

    Raises:
        ValueError: the shapes differ or are not [K, 2].
    """
    if estimated.shape != true.shape or true.ndim != 2 or true.shape[1] != 2:
        raise ValueError(f"both poses must be [K, 2], not {list(estimated.shape)} and {list(true.shape)}")
    is_true, is_found = (~(points == MISSING).all(axis=1) for points in (true, estimated))
    distance = np.linalg.norm(estimated - true, axis=1)
    is_correct = is_true & is_found & (distance <= threshold * side_px)
    return CorrectCount(int(is_correct.sum()), int(is_true.sum()))


def pck(
    estimated: NDArray[np.floating],
    true: NDArray[np.floating],
    threshold: float = THRESHOLD,
    side_px: float = IMAGE_SIZE,
) -> float:
    """Return the share of the true pose's key points that were found in their place, 0..1; NaN if it has none.

    Arguments and errors are those of `count_correct`.
    """
    num_correct, num_true = count_correct(estimated, true, threshold, side_px)
    return num_correct / num_true if num_true else float("nan")
