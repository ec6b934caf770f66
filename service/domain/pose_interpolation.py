"""A pose between two others, as a body would pass through it: bones turn and grow, joints stay together.

It works in the natural proportions of the model's photos, 176 to 256, where an angle is an angle; in the square that
the model sees people are stretched.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from service.domain.pose import KeyPoints, Point
from xmdpt.spec import NATURAL_SIZE, NUM_KEY_POINTS

_NECK = 1
# Each point's next one on the way to the neck, in an order in which that one always comes before.
_PARENTS = {
    0: _NECK, 2: _NECK, 5: _NECK, 8: _NECK, 11: _NECK,
    3: 2, 4: 3, 6: 5, 7: 6, 9: 8, 10: 9, 12: 11, 13: 12,
    14: 0, 15: 0, 16: 14, 17: 15,
}  # fmt: skip
_ORDER = (_NECK, *_PARENTS)
# Shoulders, hips and face. Where one of their bones would turn by more than this, the body has turned round instead,
# and the bone passes through the depth of the picture: it becomes shorter and then longer.
_TRUNK = frozenset({0, 2, 5, 8, 11, 14, 15, 16, 17})
_MAX_TRUNK_ANGLE = math.pi / 2
_NO_LENGTH_PX = 1e-6

_Points = Sequence[Point | None]


def between(first: KeyPoints, last: KeyPoints, at: float) -> KeyPoints:
    """The pose at a point of the way.

    Points that are seen in both poses are seen all the way. One that is seen in only one of them is seen in the half of
    the way that is nearer to that pose, where it keeps its place beside the next point towards the neck; beside all the
    others if there is none.

    Args:
        first: the pose at 0.
        last: the pose at 1.
        at: 0 .. 1.

    Returns:
        Key points in the frame of `first`; at 1 `last` itself, in its own.
    """
    if at <= 0:
        return first
    if at >= 1:
        return last
    a, b = _natural(first), _natural(last)
    points: list[Point | None] = [None] * NUM_KEY_POINTS
    for index in _ORDER:
        if a[index] and b[index]:
            points[index] = _of_both(index, a, b, at, points)
    nearer = a if at < 1 / 2 else b
    drift = _drift(nearer, points)
    for index in _ORDER:
        near = nearer[index]
        if near and not points[index]:
            anchor = _ancestor(index, nearer)
            points[index] = _sum(near, drift) if anchor is None else _sum(points[anchor], _bone(nearer, anchor, index))
    (x, y), (width, height) = first.origin, first.size
    to_x, to_y = width / NATURAL_SIZE[0], height / NATURAL_SIZE[1]
    return replace(first, points=tuple(point and (x + point[0] * to_x, y + point[1] * to_y) for point in points))


def _of_both(index: int, a: _Points, b: _Points, at: float, points: _Points) -> Point:
    """Where a point is that both poses have; those that it hangs on have their places already."""
    anchor = _ancestor(index, a, b)
    if anchor is None:
        return _on_the_line(_seen(a[index]), _seen(b[index]), at)
    bones = _bone(a, anchor, index), _bone(b, anchor, index)
    return _sum(points[anchor], _turned(*bones, at, is_trunk=index in _TRUNK))


def _drift(pose: _Points, points: _Points) -> Point:
    """By how much the points that have their places have moved from those of the pose, on average."""
    moves = [(new[0] - old[0], new[1] - old[1]) for old, new in zip(pose, points, strict=True) if old and new]
    if not moves:
        return 0.0, 0.0
    xs, ys = zip(*moves, strict=True)
    return sum(xs) / len(moves), sum(ys) / len(moves)


def _natural(key_points: KeyPoints) -> _Points:
    (x, y), (width, height) = key_points.origin, key_points.size
    to_x, to_y = NATURAL_SIZE[0] / width, NATURAL_SIZE[1] / height
    return [point and ((point[0] - x) * to_x, (point[1] - y) * to_y) for point in key_points.points]


def _ancestor(index: int, *poses: _Points) -> int | None:
    """The next point towards the neck that is seen in all of these poses."""
    parent = _PARENTS.get(index)
    while parent is not None and not all(pose[parent] for pose in poses):
        parent = _PARENTS.get(parent)
    return parent


def _bone(pose: _Points, start: int, end: int) -> Point:
    (x, y), (end_x, end_y) = _seen(pose[start]), _seen(pose[end])
    return end_x - x, end_y - y


def _turned(start: Point, end: Point, at: float, *, is_trunk: bool) -> Point:
    """The bone that has turned and grown as far, the shorter way round."""
    lengths = math.hypot(*start), math.hypot(*end)
    angle = math.atan2(start[0] * end[1] - start[1] * end[0], start[0] * end[0] + start[1] * end[1])
    if min(lengths) < _NO_LENGTH_PX or (is_trunk and abs(angle) > _MAX_TRUNK_ANGLE):
        return _on_the_line(start, end, at)
    length = lengths[0] + at * (lengths[1] - lengths[0])
    direction = math.atan2(start[1], start[0]) + at * angle
    return length * math.cos(direction), length * math.sin(direction)


def _on_the_line(start: Point, end: Point, at: float) -> Point:
    return start[0] + at * (end[0] - start[0]), start[1] + at * (end[1] - start[1])


def _sum(place: Point | None, bone: Point) -> Point:
    x, y = _seen(place)
    return x + bone[0], y + bone[1]


def _seen(point: Point | None) -> Point:
    assert point, "an ancestor is seen, and has its place before its children"
    return point
