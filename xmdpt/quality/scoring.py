"""Pictures and their truths to figures: for the report of the shipped files, and for training while it goes on.

Draws nothing, and knows neither where pictures come from nor what the figures are called in a report
(`xmdpt.quality.figures`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xmdpt.evaluation.metrics import psnr, ssim
from xmdpt.pose_estimation import PoseEstimator
from xmdpt.pose_estimation.accuracy.pck import pck
from xmdpt.pose_estimation.framing import ASPECT
from xmdpt.quality.colour import garment_colour_error
from xmdpt.quality.features import FeatureExtractor, Features, distances
from xmdpt.quality.figures import Figures, Numbers
from xmdpt.quality.held_out import Pictures, Truths
from xmdpt.quality.silhouette import find_silhouette, intersection_over_union
from xmdpt.skeleton import MISSING
from xmdpt.spec import NUM_KEY_POINTS

# Of the photo before it was stretched to a square: persons that look stretched are found less exactly.


@dataclass(frozen=True)
class Judges:
    """The networks that judge; without one, its figure is NaN.

    Attributes:
        features: 40 ms a picture on one core.
        poses: 45 ms a picture on one core.
    """

    features: FeatureExtractor | None = None
    poses: PoseEstimator | None = None


class Scorer:
    """Truths with what judges see in them, to score several pictures of each against; threads may share it."""

    def __init__(self, truths: Truths, judges: Judges) -> None:
        self._truths, self._judges = truths, judges

    @cached_property
    def truth_features(self) -> Features | None:
        """Features of the truths; None without a judge for them."""
        return self._judges.features.features(self._truths.pictures) if self._judges.features else None

    def score(self, pictures: Pictures) -> Figures:
        """Return the figures of pictures [N, 256, 256, 3], each beside its own truth."""
        truths = self._truths
        pairs = list(zip(pictures, truths.pictures, strict=True))
        found = [find_silhouette(picture) for picture in pictures]
        return Figures(
            psnr=np.array([psnr(*pair) for pair in pairs]),
            ssim=np.array([ssim(*pair) for pair in pairs]),
            silhouette_iou=np.array(
                [intersection_over_union(*masks) for masks in zip(found, truths.silhouettes, strict=True)]
            ),
            feature_distance=self._feature_distances(pictures),
            pck=self._pck(pictures),
            garment_colour_error=np.array(
                [garment_colour_error(*pair, mask) for pair, mask in zip(pairs, truths.garments, strict=True)]
            ),
        )

    def _feature_distances(self, pictures: Pictures) -> Numbers:
        if self._judges.features is None or self.truth_features is None:
            return np.full(len(pictures), np.nan)
        return distances(self._judges.features.features(pictures), self.truth_features)

    def _pck(self, pictures: Pictures) -> Numbers:
        poses = self._judges.poses
        if poses is None:
            return np.full(len(pictures), np.nan)
        found = (poses.estimate(picture, ASPECT) for picture in pictures)
        points = [np.full((NUM_KEY_POINTS, 2), MISSING) if pose is None else pose.key_points for pose in found]
        return np.array([pck(*pair) for pair in zip(points, self._truths.key_points, strict=True)])


def score_pictures(pictures: Pictures, truths: Truths, judges: Judges) -> Figures:
    """Return the figures of pictures [N, 256, 256, 3] uint8 RGB, each beside its own truth."""
    return Scorer(truths, judges).score(pictures)
