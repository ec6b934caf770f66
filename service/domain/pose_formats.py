"""Poses as other tools write them, read as our key points: OpenPose, COCO and DeepFashion.

It reads what JSON held already, and judges no pose: `service.domain.pose` does, once it has been moved.
"""

import math
from collections.abc import Mapping, Sequence
from typing import cast

from service.domain.errors import RequestError
from service.domain.pose import MAX_FRAME_PX, KeyPoints, Point, coordinate, format_error
from xmdpt.deepfashion import FRAME_ORIGIN, FRAME_SIZE, read_row
from xmdpt.spec import NUM_KEY_POINTS

_Points = list[Point | None]
_ORIGIN = (0.0, 0.0)
_NUM_COCO = 17
_NUM_BODY_25 = 25
# Where our 18 points stand among OpenPose's 25: the middle of the hips and the feet are left out.
_OF_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
# Likewise among COCO's 17, which have no neck.
_OF_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_COCO_SHOULDERS = (5, 6)
# Shares of points that lie beyond the canvas are below 0 or above 1. Half a canvas, and not more, tells them from
# coordinates of -1 .. 1, which other settings of OpenPose write and are none of these.
_MIN_SHARE, _MAX_SHARE = -0.5, 1.5
# As px such a frame has nothing to show: it is one of shares.
_MAX_UNIT_SIDE = 2


def read_openpose(document: Mapping[str, object], size: Point | None, origin: Point | None, pointer: str) -> KeyPoints:
    """Read a document of OpenPose or of an editor that writes the same.

    Args:
        document: `people`, of which there must be one, with `pose_keypoints_2d`: x, y, confidence of each of 18 (COCO)
            or 25 (BODY_25) points in a row, confidence 0 where missing; it may have `canvas_width`, `canvas_height`.
            Coordinates that all lie within -0.5 .. 1.5 are shares of the canvas (of the size, if there is none): in px
            they would be a pose of two pixels. With a size of no more than two, they are in its unit already.
        size: of the frame, px; None for the canvas.
        origin: of the frame, px; None for (0, 0).
        pointer: of the pose, for errors.

    Raises:
        RequestError: `no_person`, `several_persons`, `keypoints_format`, or `validation` without any frame.
    """
    field = f"{pointer}/openpose"
    canvas = _canvas(document, field)
    values, place = _only_person(document, field)
    if len(values) not in (3 * NUM_KEY_POINTS, 3 * _NUM_BODY_25):
        raise format_error(place, f"must have {3 * NUM_KEY_POINTS} or {3 * _NUM_BODY_25} numbers, not {len(values)}")
    found = _flat_points(values, place)
    points = found if len(found) == NUM_KEY_POINTS else [found[index] for index in _OF_BODY_25]
    are_shares = all(_MIN_SHARE <= value <= _MAX_SHARE for point in points if point for value in point)
    if are_shares and (size is None or max(size) > _MAX_UNIT_SIDE):
        width, height = canvas or size or (1.0, 1.0)
        points = [point and (point[0] * width, point[1] * height) for point in points]
    frame = size or canvas or ((1.0, 1.0) if are_shares else None)
    if frame is None:
        detail = "is required: the document has no canvas_width and canvas_height"
        raise RequestError.of_field("validation", f"{pointer}/size", detail)
    return KeyPoints(tuple(points), frame, origin or _ORIGIN)


def read_coco17(entries: Sequence[object], size: Point, origin: Point | None, pointer: str) -> KeyPoints:
    """Read COCO's 17 points; the neck, which they lack, is the middle of the shoulders.

    Args:
        entries: 51 numbers, x, y, visibility of each point in a row, as an annotation has them; or 17 entries, each
            [x, y, score], [x, y] or null. Missing: null, visibility or score 0, [-1, -1], and [0, 0] without a score.
        size: of the frame, px.
        origin: of the frame, px; None for (0, 0).
        pointer: of the pose, for errors.

    Raises:
        RequestError: `keypoints_format`.
    """
    field = f"{pointer}/coco17"
    if len(entries) == 3 * _NUM_COCO:
        found = _flat_points(entries, field)
    elif len(entries) == _NUM_COCO:
        found = [_row(entry, f"{field}/{index}") for index, entry in enumerate(entries)]
    else:
        raise format_error(field, f"must have {3 * _NUM_COCO} numbers or {_NUM_COCO} rows, not {len(entries)} entries")
    left, right = (found[index] for index in _COCO_SHOULDERS)
    neck = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2) if left and right else None
    points = tuple(neck if index is None else found[index] for index in _OF_COCO)
    return KeyPoints(points, size, origin or _ORIGIN)


def read_deepfashion(
    row: Mapping[str, object] | str, size: Point | None, origin: Point | None, pointer: str
) -> KeyPoints:
    """Read an annotation of DeepFashion.

    Args:
        row: `keypoints_y` and `keypoints_x`, 18 numbers each, or a line of the file, `name:[y, ...]:[x, ...]`. A point
            of which either number is -1 is missing.
        size: of the frame, px; None for that of the annotations, with its origin.
        origin: of the frame, px; None for (0, 0) if there is a size.
        pointer: of the pose, for errors.

    Raises:
        RequestError: `keypoints_format`.
    """
    field = f"{pointer}/deepfashion"
    if isinstance(row, str):
        try:
            _, ys, xs = read_row(row)
        except ValueError:
            raise format_error(field, "must be name:[18 y]:[18 x], -1 where missing") from None
        columns, places = (ys, xs), (field, field)
    else:
        places = (f"{field}/keypoints_y", f"{field}/keypoints_x")
        columns = tuple(_list(row.get(place.rpartition("/")[2]), place) for place in places)
    for column, place in zip(columns, places, strict=True):
        if len(column) != NUM_KEY_POINTS:
            raise format_error(place, f"must have {NUM_KEY_POINTS} numbers, not {len(column)}")
    ys, xs = (
        [coordinate(value, place if place == field else f"{place}/{index}") for index, value in enumerate(column)]
        for column, place in zip(columns, places, strict=True)
    )
    points = tuple(None if -1 in (x, y) else (x, y) for x, y in zip(xs, ys, strict=True))
    return KeyPoints(points, size or FRAME_SIZE, origin or (_ORIGIN if size else FRAME_ORIGIN))


def _canvas(document: Mapping[str, object], field: str) -> Point | None:
    sides = [(document.get(name), f"{field}/{name}") for name in ("canvas_width", "canvas_height")]
    if any(value is None for value, _ in sides):
        return None
    for value, place in sides:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= MAX_FRAME_PX:
            raise format_error(place, f"must be a number of px between 1 and {MAX_FRAME_PX:.0f}")
    width, height = (float(cast("float", value)) for value, _ in sides)
    return width, height


def _only_person(document: Mapping[str, object], field: str) -> tuple[list[object], str]:
    """The numbers of the one person, and where they stand."""
    people = _list(document.get("people"), f"{field}/people")
    if not people:
        raise RequestError.of_field("no_person", f"{field}/people", "has nobody in it: it must hold one person")
    if len(people) > 1:
        detail = f"must hold one person, not {len(people)}: leave the one that is meant"
        raise RequestError.of_field("several_persons", f"{field}/people", detail)
    person = people[0]
    if not isinstance(person, dict):
        raise format_error(f"{field}/people/0", "must be an object with pose_keypoints_2d")
    place = f"{field}/people/0/pose_keypoints_2d"
    return _list(cast("dict[str, object]", person).get("pose_keypoints_2d"), place), place


def _list(value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise format_error(place, "must be a list")
    return cast("list[object]", value)


def _flat_points(values: Sequence[object], place: str) -> _Points:
    """Triples x, y, confidence in a row."""
    return [
        _scored(values[start : start + 3], [f"{place}/{start + offset}" for offset in range(3)])
        for start in range(0, len(values), 3)
    ]


def _row(entry: object, place: str) -> Point | None:
    if entry is None:
        return None
    values = cast("list[object]", entry) if isinstance(entry, list) else []
    if len(values) not in (2, 3):
        raise format_error(place, "must be [x, y, score], [x, y] or null")
    places = [f"{place}/{offset}" for offset in range(3)]
    if len(values) == 3:
        return _scored(values, places)
    # Detectors that give no score with a point put one that they have not found into the corner.
    x, y = (coordinate(value, place) for value, place in zip(values, places, strict=False))
    return None if x == y == -1 or x == y == 0 else (x, y)


def _scored(values: Sequence[object], places: Sequence[str]) -> Point | None:
    """A point if its score is not 0; scales differ, so any number above is one that is seen."""
    score = values[2]
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score < math.inf:
        raise format_error(places[2], "must be a confidence or visibility, a number of at least 0; 0 is missing")
    if score == 0:
        return None
    x, y = (coordinate(value, place) for value, place in zip(values[:2], places, strict=False))
    return None if x == y == -1 else (x, y)
