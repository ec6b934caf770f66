"""Key points of a rendered body: their order, and which of them a picture shows.

Does not find key points in photos.
"""

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.body import Float32
from xmdpt.spec import IMAGE_SIZE

TORSO = [2, 5, 8, 11]
"""Shoulders and hips in COCO-18."""

# COCO-17 of each COCO-18 point; the neck, point 1, is the middle of the shoulders.
_COCO_17 = (0, 5, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_NECK, _SHOULDERS = 1, (2, 5)
_FACE = np.isin(np.arange(18), (0, 14, 15, 16, 17))
# A point of the face lies inside the head, this far below the skin at most.
_MAX_DEPTH_METRES = 0.05


def to_coco_18(points: Float32) -> Float32:
    """Return [18, 3] of COCO-17 points [17, 3]: another order, and the neck."""
    reordered = points[list(_COCO_17)]
    reordered[_NECK] = reordered[list(_SHOULDERS)].mean(axis=0)
    return reordered


def visible_points(projected: Float32, depth: Float32) -> NDArray[np.bool_]:
    """Tell which key points a picture shows.

    Args:
        projected: [18, 3] x and y in px of the 256 px square, and depth in metres.
        depth: [D, D] metres of what is drawn over the same square.

    Returns:
        [18] bool: inside the picture and, if of the face, on the side that is seen.
    """
    is_inside = ((projected[:, :2] >= 0) & (projected[:, :2] < IMAGE_SIZE)).all(axis=1)
    x, y = np.clip(projected[:, :2] * (len(depth) / IMAGE_SIZE), 0, len(depth) - 1).astype(np.intp).T
    is_hidden = projected[:, 2] - depth[y, x] > _MAX_DEPTH_METRES
    return is_inside & ~(is_hidden & _FACE)
