"""Key points as a caller gives them, and what makes them usable.

It draws nothing: `service.gateway.poses` turns them into a skeleton picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from service.domain.errors import RequestError
from xmdpt.spec import IMAGE_SIZE, NUM_KEY_POINTS

Point = tuple[float, float]

MIN_SEEN_POINTS = 3
# A pose whose points all lie this close together, in px of the 256 px frame, has no limbs to draw.
MIN_EXTENT_PX = 1.0
MAX_FRAME_PX = 65536.0
_POINTER = "/pose/keypoints"


@dataclass(frozen=True)
class KeyPoints:
    """18 points in the order of OpenPose COCO-18, in a frame of their own.

    Attributes:
        points: (x, y) in px of the frame, None where the point is missing.
        size: width and height of the frame, px.
        origin: where the frame begins, px; the model sees ((x - origin) / size) * 256.
    """

    points: tuple[Point | None, ...]
    size: Point
    origin: Point = (0.0, 0.0)


def parse_key_points(entries: Sequence[object], size: Point, origin: Point = (0.0, 0.0)) -> KeyPoints:
    """Check key points as they come out of JSON.

    Args:
        entries: 18 entries, each null, [x, y] or [x, y, score]; a score is null or 0 .. 1.
            Missing: null, x = y = -1, or score 0.
        size: width and height of the frame in px, 1 .. 65,536.
        origin: left and top of the frame in px.

    Raises:
        RequestError: `keypoints_format`, `pose_too_sparse` or `pose_out_of_frame`, with the entry's pointer.
    """
    if len(entries) != NUM_KEY_POINTS:
        raise _format_error(_POINTER, f"must have exactly {NUM_KEY_POINTS} entries, not {len(entries)}")
    points = tuple(_point(entry, f"{_POINTER}/{index}") for index, entry in enumerate(entries))
    key_points = KeyPoints(points, size, origin)
    _check_frame(key_points)
    _check_extent(key_points)
    return key_points


def _point(entry: object, pointer: str) -> Point | None:
    if entry is None:
        return None
    if not isinstance(entry, list):
        raise _format_error(pointer, "must be null, [x, y] or [x, y, score]")
    values = cast("list[object]", entry)
    if len(values) not in (2, 3):
        raise _format_error(pointer, f"must have 2 or 3 values, not {len(values)}")
    x, y = (_coordinate(value, f"{pointer}/{axis}") for axis, value in enumerate(values[:2]))
    if len(values) == 3 and _score(values[2], f"{pointer}/2") == 0:
        return None
    return None if x == y == -1 else (x, y)


def _coordinate(value: object, pointer: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_FRAME_PX:
        raise _format_error(pointer, f"must be a number of px between -{MAX_FRAME_PX:.0f} and {MAX_FRAME_PX:.0f}")
    return float(value)


def _score(value: object, pointer: str) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _format_error(pointer, "must be null or a number between 0 and 1")
    return float(value)


def _check_frame(key_points: KeyPoints) -> None:
    """Up to one frame outside is drawn (a cut-off limb has its direction); beyond that, size or origin are wrong."""
    for index, point in enumerate(key_points.points):
        if point is None:
            continue
        for value, size, origin in zip(point, key_points.size, key_points.origin, strict=True):
            if not -1 <= (value - origin) / size <= 2:
                raise RequestError.of_field(
                    "pose_out_of_frame",
                    f"{_POINTER}/{index}",
                    "lies more than one frame outside of the frame that size and origin describe",
                )


def _check_extent(key_points: KeyPoints) -> None:
    seen = [point for point in key_points.points if point is not None]
    if len(seen) < MIN_SEEN_POINTS:
        raise RequestError.of_field(
            "pose_too_sparse", _POINTER, f"must have at least {MIN_SEEN_POINTS} points that are seen, not {len(seen)}"
        )
    extents = (
        (max(values) - min(values)) / size * IMAGE_SIZE
        for values, size in zip(zip(*seen, strict=True), key_points.size, strict=True)
    )
    if math.hypot(*extents) <= MIN_EXTENT_PX:
        raise RequestError.of_field("pose_too_sparse", _POINTER, "has all seen points in the same place")


def _format_error(pointer: str, detail: str) -> RequestError:
    return RequestError.of_field("keypoints_format", pointer, detail)
