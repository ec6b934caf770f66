"""BlazePose's landmarks to key points in OpenPose's (COCO-18) order, and which of them count as seen.

Does not find landmarks (`xmdpt.pose_estimation.landmarks`).
"""

import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.landmarks import Landmarks
from xmdpt.skeleton import MISSING
from xmdpt.spec import NUM_KEY_POINTS

# Landmark of each key point; the neck, which BlazePose lacks, is the middle of the shoulders.
_LANDMARKS = np.array([0, 11, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7])
_SHOULDERS = [11, 12]
_EARS = [7, 8]
_NOSE, _NECK, _FACE = 0, 1, slice(14, 18)
_LEAST_VISIBILITY = 0.3
# BlazePose guesses hidden eyes and ears, where OpenPose, on which the model was trained, leaves them out.
_LEAST_FACE_VISIBILITY = 0.5
# Nor do the guesses' visibilities tell: it is their depths that do. In radii of the circle round the body, a nose or an
# eye is hidden if it lies this far behind the ears, an ear if it lies this far behind the other one. Lenient: a point
# too many harms less than a seen one that is dropped, as on a face that looks back over its shoulder.
_NOSE_BEHIND_EARS = 0.4
_EYE_BEHIND_EARS = 0.25
_EAR_BEHIND_EAR = 0.3


def key_points(found: Landmarks, width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return key points and the confidence in each.

    Args:
        found: in px of the photo.
        width: of the photo, px.
        height: of the photo, px.

    Returns:
        [18, 2] float64 (x, y) in px; -1, -1 where hidden or off the photo. [18] float32 in 0..1; 0 where missing.
    """
    points, confidence = found.points[_LANDMARKS], found.visibility[_LANDMARKS]
    points[_NECK] = found.points[_SHOULDERS].mean(axis=0)
    confidence[_NECK] = found.visibility[_SHOULDERS].max()
    least = np.full(NUM_KEY_POINTS, _LEAST_VISIBILITY)
    least[_FACE] = _LEAST_FACE_VISIBILITY
    is_inside = ((points >= 0) & (points < (width, height))).all(axis=1)
    is_seen = is_inside & (confidence >= least) & ~_is_behind_the_head(found)
    return np.where(is_seen[:, None], points, MISSING), np.where(is_seen, confidence, np.float32(0))


def _is_behind_the_head(found: Landmarks) -> NDArray[np.bool_]:
    radius = found.circle_radius
    depths = found.depths[_LANDMARKS] / radius
    ears = found.depths[_EARS].mean() / radius
    is_hidden = np.zeros(NUM_KEY_POINTS, bool)
    is_hidden[_NOSE] = depths[_NOSE] - ears > _NOSE_BEHIND_EARS
    is_hidden[14:16] = depths[14:16] - ears > _EYE_BEHIND_EARS
    is_hidden[16:18] = depths[16:18] - depths[[17, 16]] > _EAR_BEHIND_EAR
    return is_hidden
