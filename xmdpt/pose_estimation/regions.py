"""A region: the square of a photo, possibly turned, that the landmark model is shown.

Does not find regions (`xmdpt.pose_estimation.detections`) nor cut them out (`xmdpt.pose_estimation.crops`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A circle round the hips through the farthest point of the body, with a margin.
_MARGIN = 1.25
# The whole picture, with room round it: persons that fill a picture are cut off at the hips or at the feet, and the
# model was trained on regions that hold the whole body, with the hips in the centre.
_WHOLE_CENTRE = (0.5, 0.55)
_WHOLE_SIZE = 1.4
# About 100 degrees. Who stands on their head is rarer than a back view whose hidden face led the detector astray.
_LEAST_COSINE = -0.2
_SMALLEST_PX = 1.0


@dataclass(frozen=True)
class Region:
    """A turned square of a photo.

    Attributes:
        centre: x and y in px of the photo; may lie off it.
        size: side in px, at least 1.
        angle: radians clockwise by which the square's upright is turned from the photo's.
        score: 0..1, how sure the detector is; 0 where nothing was detected.
    """

    centre: tuple[float, float]
    size: float
    angle: float
    score: float

    @property
    def is_upright(self) -> bool:
        """Whether the person in it does not hang head down."""
        return math.cos(self.angle) > _LEAST_COSINE

    def to_photo(self) -> NDArray[np.float64]:
        """Return [2, 3] float64: the affine map from the unit square, (0, 0) upper left, to px of the photo."""
        cosine, sine = math.cos(self.angle) * self.size, math.sin(self.angle) * self.size
        turn = np.array([[cosine, -sine], [sine, cosine]])
        return np.column_stack([turn, np.array(self.centre) - turn @ (0.5, 0.5)])


def region_between(hips: NDArray[np.floating], edge: NDArray[np.floating], score: float) -> Region:
    """Return the region of a person: hips in the centre, the edge straight above them.

    Args:
        hips: [2] (x, y) in px, between the hips.
        edge: [2] (x, y) in px, on the circle round the body and above the head.
        score: 0..1.
    """
    x, y = (edge - hips).tolist()
    size = max(2 * _MARGIN * math.hypot(x, y), _SMALLEST_PX)
    return Region((float(hips[0]), float(hips[1])), size, math.atan2(x, -y), score)


def whole_picture(width: int, height: int) -> Region:
    """Return the region that shows all of a photo of that many px, with score 0."""
    centre = (_WHOLE_CENTRE[0] * width, _WHOLE_CENTRE[1] * height)
    return Region(centre, _WHOLE_SIZE * max(width, height), 0.0, 0.0)
