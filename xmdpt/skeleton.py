"""Key points to the skeleton picture that the pose extractor takes.

Does not judge poses (too sparse, out of frame) nor find key points in a photo.
"""

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from xmdpt.preprocess import to_photo
from xmdpt.spec import IMAGE_SIZE, NUM_KEY_POINTS

Canvas = NDArray[np.uint8]

MISSING = -1.0
"""Both coordinates of a key point that is not seen."""

_JOINT_RADIUS_PX = 4
_LIMB_HALF_WIDTH_PX = 4
_LIMB_OPACITY = 0.6
# A hue wheel in 18 steps. OpenCV takes the colours as BGR, as the official drawing does; see draw_skeleton.
_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
# Pairs of key points, in the order in which they are drawn: later limbs cover earlier ones.
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip


def to_frame(key_points: ArrayLike, size: tuple[float, float], origin: tuple[float, float]) -> NDArray[np.float64]:
    """Move key points from the frame they were given in to the model's square frame, stretched as the photo is.

    Args:
        key_points: [18, 2] (x, y) in px of the given frame; -1, -1 where missing.
        size: width and height of that frame in px; above 0.
        origin: x and y in px of its upper left corner.

    Returns:
        [18, 2] float64, in px of the 256 px square; a point off the frame stays off it, missing stays -1, -1.

    Raises:
        ValueError: key_points is not [18, 2].
    """
    points = _checked(key_points)
    moved = (points - np.asarray(origin)) * IMAGE_SIZE / np.asarray(size)
    return np.where(_is_missing(points)[:, None], MISSING, moved)


def draw_skeleton(key_points: ArrayLike) -> Canvas:
    """Draw a pose on black: joints as discs, then limbs as half-transparent ellipses over them.

    Args:
        key_points: [18, 2] (x, y) in px of the 256 px square; -1, -1 where missing. Finite, within a few thousand px.

    Returns:
        [256, 256, 3] uint8 RGB. All black if no point is seen; the model divides by the maximum.

    Raises:
        ValueError: key_points is not [18, 2].

    Source:
        trungpx/xmdpt@8397056, the dataset's pose drawing; bytes equal with OpenCV 5.
    """
    points = _checked(key_points)
    is_seen = ~_is_missing(points)
    canvas = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    for point, colour, is_drawn in zip(points, _COLOURS, is_seen, strict=True):
        if is_drawn:
            cv2.circle(canvas, (int(point[0]), int(point[1])), _JOINT_RADIUS_PX, colour, thickness=cv2.FILLED)
    for (first, second), colour in zip(_LIMBS, _COLOURS, strict=False):
        if is_seen[first] and is_seen[second]:
            canvas = _with_limb(canvas, points[first], points[second], colour)
    # The training data swapped the channels here, so the model knows the nose as blue.
    return canvas[:, :, ::-1].copy()


def to_skeleton(image: Image.Image) -> Canvas:
    """Return a supplied skeleton picture, prepared as a photo is: [256, 256, 3] uint8 RGB."""
    return to_photo(image)


def _with_limb(
    canvas: Canvas, first: NDArray[np.float64], second: NDArray[np.float64], colour: tuple[int, ...]
) -> Canvas:
    centre_x, centre_y = (first + second) / 2
    delta_x, delta_y = first - second
    half_axes = (int(math.hypot(delta_x, delta_y) / 2), _LIMB_HALF_WIDTH_PX)
    angle_degrees = int(math.degrees(math.atan2(delta_y, delta_x)))
    outline = cv2.ellipse2Poly((int(centre_x), int(centre_y)), half_axes, angle_degrees, 0, 360, delta=1)
    covered = cv2.fillConvexPoly(canvas.copy(), np.asarray(outline), colour)
    return cv2.addWeighted(canvas, 1 - _LIMB_OPACITY, covered, _LIMB_OPACITY, 0).astype(np.uint8, copy=False)


def _checked(key_points: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(key_points, dtype=np.float64)
    if points.shape != (NUM_KEY_POINTS, 2):
        raise ValueError(f"key_points must have the shape [{NUM_KEY_POINTS}, 2], not {list(points.shape)}")
    return points


def _is_missing(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (points == MISSING).all(axis=1)
