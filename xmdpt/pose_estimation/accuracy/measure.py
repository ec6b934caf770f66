"""The estimator on one case after another, and the figures of many.

Writes nothing (`xmdpt.pose_estimation.accuracy.report`).
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.accuracy.cases import Case
from xmdpt.pose_estimation.accuracy.pck import CorrectCount, count_correct
from xmdpt.pose_estimation.estimator import PoseEstimator
from xmdpt.skeleton import MISSING
from xmdpt.spec import NUM_KEY_POINTS


@dataclass(frozen=True)
class Result:
    """What was found in one photo.

    Attributes:
        case: the photo and its true pose.
        key_points: [18, 2] (x, y) in px, as found; -1, -1 where missing, everywhere if nobody was found.
        milliseconds: of processor time that it took, which is the time on a core that has nothing else to do.
    """

    case: Case
    key_points: NDArray[np.floating]
    milliseconds: float

    @property
    def errors(self) -> NDArray[np.float64]:
        """[18] distance of each point from its true place in px of the 256 px square; NaN unless both are known."""
        is_known = _is_known(self.key_points) & _is_known(self.case.key_points)
        distances = np.linalg.norm(self.key_points - self.case.key_points, axis=1)
        return np.where(is_known, distances, np.nan)

    @property
    def count(self) -> CorrectCount:
        """Points in their place, of those that are truly there."""
        return count_correct(self.key_points, self.case.key_points)


@dataclass(frozen=True)
class Figures:
    """What comes of many photos.

    Attributes:
        num_photos: looked at.
        num_found: in which a person was found.
        pck: share of the true points that were found within 5 % of the picture's side, 0..1.
        median_error: of the points that are truly there and found, px of the 256 px square; likewise mean_error.
        missed_share: of the true points, those that were not found; invented_share: of those found, what is not there.
        median_ms: processor time for one photo; likewise mean_ms.
    """

    num_photos: int
    num_found: int
    pck: float
    median_error: float
    mean_error: float
    missed_share: float
    invented_share: float
    median_ms: float
    mean_ms: float


def measured(cases: Iterable[Case], estimator: PoseEstimator) -> Iterable[Result]:
    """Look for the pose in each photo in turn."""
    for case in cases:
        started = time.process_time()
        pose = estimator.estimate(case.photo, case.aspect)
        milliseconds = 1000 * (time.process_time() - started)
        points = np.full((NUM_KEY_POINTS, 2), MISSING) if pose is None else pose.key_points
        yield Result(case, points, milliseconds)


def figures_of(results: Sequence[Result]) -> Figures:
    """Return the figures of one result at least."""
    errors = np.concatenate([result.errors for result in results])
    errors = errors[np.isfinite(errors)]
    found, true = (
        np.stack([_is_known(points) for points in each])
        for each in ([result.key_points for result in results], [result.case.key_points for result in results])
    )
    counts = [result.count for result in results]
    milliseconds = [result.milliseconds for result in results]
    return Figures(
        num_photos=len(results),
        num_found=int(found.any(axis=1).sum()),
        pck=sum(count.num_correct for count in counts) / max(sum(count.num_true for count in counts), 1),
        median_error=float(np.median(errors)) if errors.size else float("nan"),
        mean_error=float(errors.mean()) if errors.size else float("nan"),
        missed_share=float((true & ~found).sum() / max(true.sum(), 1)),
        invented_share=float((found & ~true).sum() / max(found.sum(), 1)),
        median_ms=float(np.median(milliseconds)),
        mean_ms=float(np.mean(milliseconds)),
    )


def joint_shares(results: Sequence[Result]) -> NDArray[np.float64]:
    """[18] PCK of each key point, NaN where no photo shows it."""
    shares = np.full(NUM_KEY_POINTS, np.nan)
    for place in range(NUM_KEY_POINTS):
        counts = [count_correct(result.key_points[[place]], result.case.key_points[[place]]) for result in results]
        num_true = sum(count.num_true for count in counts)
        if num_true:
            shares[place] = sum(count.num_correct for count in counts) / num_true
    return shares


def _is_known(points: NDArray[np.floating]) -> NDArray[np.bool_]:
    return (points != MISSING).any(axis=1)
