"""The landmark model's raw outputs to landmarks in the photo: 33 of the body and 2 that say where it is.

Does not run the model (`xmdpt.pose_estimation.estimator`) nor know OpenPose's key points
(`xmdpt.pose_estimation.openpose`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.crops import LANDMARK_SIDE
from xmdpt.pose_estimation.detections import sigmoid
from xmdpt.pose_estimation.regions import Region, region_between

_NUM_LANDMARKS = 39
_SHOULDERS_AND_HIPS = (11, 12, 23, 24)
_HIPS, _EDGE = 33, 34
# The neighbourhood in the heat map over which the mean is taken, in cells, and the least peak that makes it worth it.
_REACH = 3
_LEAST_PEAK = 0.5


@dataclass(frozen=True)
class Landmarks:
    """What the landmark model found in one region.

    Attributes:
        points: [39, 2] float64 (x, y) in px of the photo; may lie off it. 0-32 BlazePose's body, 33 between the hips,
            34 on the circle round the body and above the head; the rest are of no use here.
        depths: [39] float64 in px of the photo, away from the camera, 0 at the hips; rough.
        visibility: [39] float32 in 0..1.
        presence: 0..1, whether there is a person at all.
    """

    points: NDArray[np.float64]
    depths: NDArray[np.float64]
    visibility: NDArray[np.float32]
    presence: float

    @property
    def score(self) -> float:
        """0..1: presence of the person times mean visibility of shoulders and hips."""
        return self.presence * float(self.visibility[list(_SHOULDERS_AND_HIPS)].mean())

    @property
    def circle_radius(self) -> float:
        """Radius in px of the circle round the body."""
        return max(float(np.hypot(*(self.points[_EDGE] - self.points[_HIPS]))), 1.0)

    def region(self) -> Region:
        """Return the region in which the person stands upright and central."""
        return region_between(self.points[_HIPS], self.points[_EDGE], self.presence)


def landmarks(raw: NDArray[np.float32], presence: float, heat_maps: NDArray[np.float32], region: Region) -> Landmarks:
    """Decode one run of the model.

    Args:
        raw: [195] of 39 x (x, y, z, visibility, presence): px of the crop, then logits.
        presence: 0..1.
        heat_maps: [64, 64, 39] logits, rows first.
        region: what the crop showed.
    """
    crop_px = raw.reshape(_NUM_LANDMARKS, 5)[:, :3].astype(np.float64)
    points = refined(crop_px[:, :2] / LANDMARK_SIDE, sigmoid(heat_maps))
    to_photo = region.to_photo()
    return Landmarks(
        points=points @ to_photo[:, :2].T + to_photo[:, 2],
        depths=crop_px[:, 2] * (region.size / LANDMARK_SIDE),
        visibility=sigmoid(raw[3::5]),
        presence=presence,
    )


def refined(points: NDArray[np.float64], heat_maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Move each point to the mean of its heat map's neighbourhood, where that has a clear peak.

    Args:
        points: [K, 2] (x, y) in 0..1 of the crop's side; those beyond stay.
        heat_maps: [N, N, K] in 0..1, rows first.

    Returns:
        [K, 2] float64. A cell counts at its corner, not its centre, as the model was trained.

    Source:
        google-ai-edge/mediapipe v0.10.21 calculators/util/refine_landmarks_from_heatmap_calculator.cc.
    """
    num_cells = heat_maps.shape[0]
    cells = np.floor(points * num_cells).astype(int)
    is_inside = ((cells >= 0) & (cells < num_cells)).all(axis=1)
    padded = np.pad(heat_maps, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)))
    offsets = np.arange(-_REACH, _REACH + 1)
    moved = points.copy()
    for place in np.flatnonzero(is_inside):
        x, y = cells[place]
        weights = padded[y : y + offsets.size, x : x + offsets.size, place]
        if weights.max() >= _LEAST_PEAK:
            total = weights.sum(dtype=np.float64)
            moved[place] = (
                (x + weights.sum(axis=0) @ offsets / total) / num_cells,
                (y + weights.sum(axis=1) @ offsets / total) / num_cells,
            )
    return moved
