"""A pose drawn for people to look at. What the model is given is drawn by the service."""

import colorsys
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw

# Pairs of key points (docs/api.md names them) from the neck outwards.
_BONES = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
# Drawn larger and made smaller: smooth edges.
_ENLARGED = 4
_WIDTH_OF_HEIGHT = 1 / 50
_HUES = 18


def draw_sticks(pose: Mapping[str, Any], size: tuple[int, int]) -> Image.Image:
    """The pose on black.

    Args:
        pose: `keypoints`, `size` and `origin`, as the API has them.
        size: width and height of the picture, px; the pose's frame is stretched to it.
    """
    large = (size[0] * _ENLARGED, size[1] * _ENLARGED)
    image = Image.new("RGB", large)
    pen, width = ImageDraw.Draw(image), max(1, round(large[1] * _WIDTH_OF_HEIGHT))
    points = [_place(point, pose["origin"], pose["size"], large) for point in pose["keypoints"]]
    for number, (start, end) in enumerate(_BONES):
        first, last = points[start], points[end]
        if first and last:
            pen.line([first, last], fill=_colour(number), width=width)
    for number, point in enumerate(points):
        if point:
            x, y = point
            pen.ellipse([x - width, y - width, x + width, y + width], fill=_colour(number))
    return image.resize(size, Image.Resampling.LANCZOS)


def _place(
    point: list[float] | None, origin: list[float], frame: list[float], size: tuple[int, int]
) -> tuple[float, float] | None:
    if point is None:
        return None
    return (point[0] - origin[0]) / frame[0] * size[0], (point[1] - origin[1]) / frame[1] * size[1]


def _colour(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number / _HUES, 0.8, 1)
    return round(255 * red), round(255 * green), round(255 * blue)
