"""An estimated pose for programs and for people: the JSON that the service takes, and a picture to look at.

Does not read or write files.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.estimator import EstimatedPose
from xmdpt.skeleton import draw_skeleton, to_frame

_OPACITY = 0.8


def pose_document(pose: EstimatedPose, width: int, height: int) -> dict[str, list]:
    """Return what `POST /generate` takes as pose, ready for JSON.

    Args:
        pose: in px of the photo.
        width: of the photo, px.
        height: of the photo, px.

    Returns:
        `keypoints`, 18 entries [x, y, confidence] or None where missing, and `size`, [width, height].
    """
    rows = np.column_stack([np.round(pose.key_points, 1), np.round(pose.confidence, 2)]).tolist()
    points = [row if is_seen else None for row, is_seen in zip(rows, pose.confidence > 0, strict=True)]
    return {"keypoints": [point and [round(value, 2) for value in point] for point in points], "size": [width, height]}


def overlay(photo: NDArray[np.uint8], pose: EstimatedPose) -> NDArray[np.uint8]:
    """Return the photo [H, W, 3] uint8 RGB with the pose's skeleton over it, in the colours that the model is shown."""
    height, width = photo.shape[:2]
    square = draw_skeleton(to_frame(pose.key_points, size=(width, height), origin=(0, 0)))
    skeleton = cv2.resize(square, (width, height)).astype(np.float32)
    is_drawn = np.where(square.any(axis=2), np.float32(1), np.float32(0))
    opacity = cv2.resize(is_drawn, (width, height))[:, :, None] * _OPACITY
    # The skeleton fades to black at its edges by itself.
    return np.clip(photo * (1 - opacity) + skeleton * _OPACITY, 0, 255).astype(np.uint8)
