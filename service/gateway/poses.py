"""Key points become the skeleton picture that the model was trained on.

Their validity is checked in `service.domain.pose`, the drawing is `xmdpt.skeleton`'s.
"""

import numpy as np

from service.domain.pose import KeyPoints
from xmdpt.skeleton import draw_skeleton, to_frame

_MISSING = (-1.0, -1.0)


def draw_pose(key_points: KeyPoints) -> bytes:
    """Map the points to the 256 px frame and draw them: uint8 [256,256,3] RGB as 196,608 bytes."""
    points = np.array([point or _MISSING for point in key_points.points], np.float64)
    return draw_skeleton(to_frame(points, key_points.size, key_points.origin)).tobytes()
