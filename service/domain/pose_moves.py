"""What can be done to a pose that has key points: mirrored, fitted into its frame, scaled, shifted; in this order.

All of it happens in the frame that the points are given in. The frame is stretched to the model's square as a whole, so
one factor for both axes keeps the person's proportions, whatever the frame's own are.
"""

from dataclasses import dataclass

from service.domain.pose import KeyPoints, Point
from xmdpt.spec import IMAGE_SIZE

DEFAULT_MARGIN, MAX_MARGIN = 0.05, 0.4
MIN_SCALE, MAX_SCALE = 0.1, 10.0
MAX_SHIFT_PX = float(IMAGE_SIZE)
# Each key point's opposite: right and left of shoulder, elbow, wrist, hip, knee, ankle, eye and ear change places.
_OPPOSITE = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
# Below this share of its frame a pose has no extent that could be scaled to anything.
_MIN_SHARE = 1e-6


@dataclass(frozen=True)
class Moves:
    """What is to be done.

    Attributes:
        is_mirrored: left and right are swapped, in place and in names.
        margin: 0 .. 0.4: the seen points come to lie in the middle of the frame and as large as they can be with this
            share of its width left free at both sides, and of its height above and below; None: they stay.
        scale: 0.1 .. 10, about the middle of the seen points.
        shift: -256 .. 256 px of the 256 px frame, to the right and down.
    """

    is_mirrored: bool = False
    margin: float | None = None
    scale: float = 1.0
    shift: Point = (0.0, 0.0)


def moved(key_points: KeyPoints, moves: Moves) -> KeyPoints:
    """The pose after its moves, in the same frame; one that can't be drawn may come out, and missing stays missing."""
    if moves.is_mirrored:
        key_points = _mirrored(key_points)
    if moves.margin is not None:
        key_points = _fitted(key_points, moves.margin)
    if moves.scale != 1:
        key_points = _affine(key_points, moves.scale, _middle(key_points), _middle(key_points))
    if moves.shift != (0, 0):
        (x, y), (width, height), (dx, dy) = _middle(key_points), key_points.size, moves.shift
        key_points = _affine(key_points, 1, (x, y), (x + dx * width / IMAGE_SIZE, y + dy * height / IMAGE_SIZE))
    return key_points


def _mirrored(key_points: KeyPoints) -> KeyPoints:
    both_sides = 2 * key_points.origin[0] + key_points.size[0]
    opposite = (key_points.points[index] for index in _OPPOSITE)
    points = tuple(point and (both_sides - point[0], point[1]) for point in opposite)
    return KeyPoints(points, key_points.size, key_points.origin)


def _fitted(key_points: KeyPoints, margin: float) -> KeyPoints:
    (left, top), (right, bottom) = _corners(key_points)
    (x, y), (width, height) = key_points.origin, key_points.size
    shares = [share for share in ((right - left) / width, (bottom - top) / height) if share > _MIN_SHARE]
    scale = min(((1 - 2 * margin) / share for share in shares), default=1.0)
    return _affine(key_points, scale, _middle(key_points), (x + width / 2, y + height / 2))


def _affine(key_points: KeyPoints, scale: float, old: Point, new: Point) -> KeyPoints:
    """Scale about a point, which comes to lie elsewhere."""
    points = tuple(
        point and (new[0] + scale * (point[0] - old[0]), new[1] + scale * (point[1] - old[1]))
        for point in key_points.points
    )
    return KeyPoints(points, key_points.size, key_points.origin)


def _middle(key_points: KeyPoints) -> Point:
    (left, top), (right, bottom) = _corners(key_points)
    return (left + right) / 2, (top + bottom) / 2


def _corners(key_points: KeyPoints) -> tuple[Point, Point]:
    """Upper left and lower right of all seen points; of none, the frame's origin."""
    seen = [point for point in key_points.points if point is not None] or [key_points.origin]
    xs, ys = zip(*seen, strict=True)
    return (min(xs), min(ys)), (max(xs), max(ys))
