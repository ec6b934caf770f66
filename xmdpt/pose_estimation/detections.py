"""The detector's raw outputs to regions, the surest first, each person once.

Does not run the detector (`xmdpt.pose_estimation.estimator`).
"""

import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.anchors import anchor_centres
from xmdpt.pose_estimation.crops import DETECTOR_SIDE, Letterbox
from xmdpt.pose_estimation.regions import Region, region_between

# Below it most detections are of nothing; mediapipe asks for 0.5, but the landmark model has a say here, too.
_LEAST_SCORE = 0.3
# Of faces: two boxes that share more than this part of their union are of one person; as in mediapipe.
_MOST_SHARED = 0.3
_MOST_CANDIDATES = 200
_ANCHORS = anchor_centres()


def regions(boxes: NDArray[np.float32], logits: NDArray[np.float32], letterbox: Letterbox) -> list[Region]:
    """Return the regions of the persons that were detected, by falling score; empty if there are none.

    Args:
        boxes: [2254, 12] in px of the square, relative to the anchors: centre and size of the face's box, then four
            points: between the hips, the edge of the circle round the body, and the same of the upper body.
        logits: [2254], any sign.
        letterbox: what the detector was shown.
    """
    scores = sigmoid(logits)
    order = np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]
    order = order[scores[order] >= _LEAST_SCORE]
    centres = boxes[order, :2] / DETECTOR_SIDE + _ANCHORS[order]
    half_sizes = np.abs(boxes[order, 2:4]) / DETECTOR_SIDE / 2
    points = boxes[order, 4:8].reshape(-1, 2, 2) / DETECTOR_SIDE + _ANCHORS[order, None]
    ends = letterbox.to_photo(points)
    kept = _distinct(np.concatenate([centres - half_sizes, centres + half_sizes], axis=1))
    return [region_between(*ends[place], score=float(scores[order[place]])) for place in kept]


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-logits)), in 0..1, without overflow."""
    return (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)


def _distinct(boxes: NDArray[np.floating]) -> list[int]:
    """Non-maximum suppression over [N, 4] (left, top, right, bottom), the surest first; returns the places kept."""
    kept: list[int] = []
    for place, box in enumerate(boxes):
        if all(_shared(box, boxes[other]) <= _MOST_SHARED for other in kept):
            kept.append(place)
    return kept


def _shared(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - common
    return common / union if union > 0 else 0.0
