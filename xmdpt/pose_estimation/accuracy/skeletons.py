"""Key points read back from a skeleton picture, by the colours of its joints.

Does not draw them (`xmdpt.skeleton`).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from xmdpt.skeleton import MISSING, draw_skeleton
from xmdpt.spec import IMAGE_SIZE, NUM_KEY_POINTS

# Levels by which a colour may differ from the drawn one.
_TOLERANCE = 2
# A joint shows through only where no limb lies over it; a place that shows black where the joint would be counts
# against that place as much as so many px of the joint's colour count for it.
_BLACK_WEIGHT = 3


def key_points_in(skeleton: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Find the joints of one drawn pose.

    Args:
        skeleton: [256, 256, 3] uint8 RGB, without loss, as `draw_skeleton` makes it.

    Returns:
        [18, 2] float64 (x, y) in px, mostly within 1 px, at most 3 px off; -1, -1 where no px of a joint is seen: it
        was not drawn, or limbs cover all of it.
    """
    radius = _joint(0)[1].shape[0] // 2
    padded = np.pad(skeleton.astype(int), ((radius, radius), (radius, radius), (0, 0)), constant_values=-1)
    return np.stack([_place(padded, *_joint(number)) for number in range(NUM_KEY_POINTS)])


@cache
def _joint(number: int) -> tuple[NDArray[np.int_], NDArray[np.bool_]]:
    """Colour [3] of a joint, and its disc [D, D], True where it is drawn."""
    middle = IMAGE_SIZE // 2
    points = np.full((NUM_KEY_POINTS, 2), MISSING)
    points[number] = middle
    drawn = draw_skeleton(points)
    is_drawn = np.asarray(drawn.any(axis=2))
    radius = middle - int(np.flatnonzero(is_drawn.any(axis=0))[0])
    reach = slice(middle - radius, middle + radius + 1)
    return drawn[middle, middle].astype(int), is_drawn[reach, reach]


def _place(padded: NDArray[np.int_], colour: NDArray[np.int_], disc: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Where the disc covers most of what has its colour, and nothing that is black; the mean of equal places."""
    is_joint = np.asarray((np.abs(padded - colour) <= _TOLERANCE).all(axis=2))
    rows, columns = np.nonzero(is_joint)
    if not rows.size:
        return np.full(2, MISSING)
    is_black = np.asarray((padded == 0).all(axis=2))
    side = disc.shape[0]
    found: list[tuple[int, int, int]] = []
    for top in range(max(rows.max() - side + 1, 0), min(rows.min(), padded.shape[0] - side) + 1):
        for left in range(max(columns.max() - side + 1, 0), min(columns.min(), padded.shape[1] - side) + 1):
            part = (slice(top, top + side), slice(left, left + side))
            score = (is_joint[part] & disc).sum() - _BLACK_WEIGHT * (is_black[part] & disc).sum()
            found.append((int(score), left, top))
    if not found:
        return np.full(2, MISSING)
    best = max(score for score, *_ in found)
    corner = np.mean([place for score, *place in found if score == best], axis=0)
    # The disc's corner in the padded picture is its middle in the picture itself. Drawing dropped the fractions.
    return corner + 0.5
