"""Key points as a caller gives them, and what makes them usable.

It draws nothing: `service.gateway.poses` turns them into a skeleton picture. Other tools' forms are
`service.domain.pose_formats`', what can be done to a pose `service.domain.pose_moves`'.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

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


def key_points_from_fields(fields: Mapping[str, Any]) -> KeyPoints:
    """Undo `dataclasses.asdict`, also behind JSON; KeyError, TypeError, ValueError or IndexError if it is none."""
    points = tuple(None if point is None else (point[0], point[1]) for point in fields["points"])
    size, origin = fields["size"], fields["origin"]
    return KeyPoints(points, (size[0], size[1]), (origin[0], origin[1]))


def parse_key_points(entries: Sequence[object], size: Point, origin: Point = (0.0, 0.0)) -> KeyPoints:
    """Check key points as they come out of JSON; the arguments are those of `read_points` and of `KeyPoints`.

    Raises:
        RequestError: `keypoints_format`, `pose_too_sparse` or `pose_out_of_frame`, with the entry's pointer.
    """
    key_points = KeyPoints(read_points(entries), size, origin)
    check_usable(key_points, _POINTER, is_indexed=True)
    return key_points


def read_points(entries: Sequence[object], pointer: str = _POINTER) -> tuple[Point | None, ...]:
    """Read the points alone, wherever they lie.

    Args:
        entries: 18 entries, each null, [x, y] or [x, y, score]; a score is null or 0 .. 1.
            Missing: null, x = y = -1, or score 0.
        pointer: of the field, for errors.

    Raises:
        RequestError: `keypoints_format`, with the entry's pointer.
    """
    if len(entries) != NUM_KEY_POINTS:
        raise format_error(pointer, f"must have exactly {NUM_KEY_POINTS} entries, not {len(entries)}")
    return tuple(_point(entry, f"{pointer}/{index}") for index, entry in enumerate(entries))


def check_usable(key_points: KeyPoints, pointer: str, *, is_indexed: bool = False) -> None:
    """Enough is seen, and it lies where it can be drawn.

    Args:
        key_points: to be drawn as they are.
        pointer: of the field that they come from, for errors.
        is_indexed: the field has an entry a point, to which the pointer is to lead.

    Raises:
        RequestError: `pose_out_of_frame` or `pose_too_sparse`.
    """
    _check_frame(key_points, pointer, is_indexed=is_indexed)
    _check_extent(key_points, pointer)


def _point(entry: object, pointer: str) -> Point | None:
    if entry is None:
        return None
    if not isinstance(entry, list):
        raise format_error(pointer, "must be null, [x, y] or [x, y, score]")
    values = cast("list[object]", entry)
    if len(values) not in (2, 3):
        raise format_error(pointer, f"must have 2 or 3 values, not {len(values)}")
    x, y = (coordinate(value, f"{pointer}/{axis}") for axis, value in enumerate(values[:2]))
    if len(values) == 3 and _score(values[2], f"{pointer}/2") == 0:
        return None
    return None if x == y == -1 else (x, y)


def coordinate(value: object, pointer: str) -> float:
    """A number of px as it comes out of JSON; RequestError `keypoints_format` if it is none, or is absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_FRAME_PX:
        raise format_error(pointer, f"must be a number of px between -{MAX_FRAME_PX:.0f} and {MAX_FRAME_PX:.0f}")
    return float(value)


def _score(value: object, pointer: str) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise format_error(pointer, "must be null or a number between 0 and 1")
    return float(value)


def _check_frame(key_points: KeyPoints, pointer: str, *, is_indexed: bool) -> None:
    """Up to one frame outside is drawn (a cut-off limb has its direction); beyond that, size or origin are wrong."""
    for index, point in enumerate(key_points.points):
        if point is None:
            continue
        for value, size, origin in zip(point, key_points.size, key_points.origin, strict=True):
            if not -1 <= (value - origin) / size <= 2:
                place, subject = (f"{pointer}/{index}", "lies") if is_indexed else (pointer, f"has key point {index}")
                detail = f"{subject} more than one frame outside of the frame that size and origin describe"
                raise RequestError.of_field("pose_out_of_frame", place, detail)


def _check_extent(key_points: KeyPoints, pointer: str) -> None:
    seen = [point for point in key_points.points if point is not None]
    if len(seen) < MIN_SEEN_POINTS:
        raise RequestError.of_field(
            "pose_too_sparse", pointer, f"must have at least {MIN_SEEN_POINTS} points that are seen, not {len(seen)}"
        )
    extents = (
        (max(values) - min(values)) / size * IMAGE_SIZE
        for values, size in zip(zip(*seen, strict=True), key_points.size, strict=True)
    )
    if math.hypot(*extents) <= MIN_EXTENT_PX:
        raise RequestError.of_field("pose_too_sparse", pointer, "has all seen points in the same place")


def format_error(pointer: str, detail: str) -> RequestError:
    """Something that is no key point, `keypoints_format`."""
    return RequestError.of_field("keypoints_format", pointer, detail)
