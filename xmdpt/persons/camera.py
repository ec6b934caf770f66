"""The camera: from where a person is seen, how it is framed, and where its points fall in the picture.

The scene is a photo 176 px wide and 256 px high, stretched to the square as the model's preparation stretches photos.
Camera axes: x to the right, y away from the camera, z up, metres; the person's middle is `_DISTANCE` away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.body import Float32
from xmdpt.persons.chance import Range, Shares, choose, happens
from xmdpt.persons.rotations import X_AXIS, Z_AXIS, Matrix, rotation
from xmdpt.spec import IMAGE_SIZE

PHOTO_WIDTH = 176
"""Width in px of the photo before it is stretched to `IMAGE_SIZE`, which is its height."""

_STRETCH = IMAGE_SIZE / PHOTO_WIDTH
_DISTANCE = 4.5
_MARGIN_PX = 2.0


@dataclass(frozen=True)
class ViewStyle:
    """From where persons are seen and how they are framed.

    Attributes:
        yaws: middles with half widths, in degrees, and their shares; 0 is the front, 90 faces the right edge.
        pitch_spread: standard deviation in degrees.
        full_body_share: how many pictures show the whole person, always inside the frame; the rest cuts the legs off.
        height_share: part of the picture's height that a whole person fills, less where spread arms need the room.
        upper_body_metres: height of a picture that shows the upper body.
        jitter_metres: standard deviation of the person's place.
    """

    yaws: Shares[tuple[float, float]]
    pitch_spread: float
    full_body_share: float
    height_share: Range
    upper_body_metres: Range
    jitter_metres: float


@dataclass(frozen=True)
class Camera:
    """A perspective projection.

    Attributes:
        x, z: camera axes' point that falls in the middle of the picture.
        focal_px: size in px of one metre in one metre's distance, vertically.
    """

    x: float
    z: float
    focal_px: float

    def project(self, points: Float32) -> Float32:
        """Return [N, 3] float32 of points [N, 3]: x and y in px of the 256 px square, and depth in metres."""
        projected = np.empty(points.shape, dtype=np.float32)
        depth = points[:, 1] + np.float32(_DISTANCE)
        scale = np.float32(self.focal_px) / depth
        projected[:, 0] = np.float32(IMAGE_SIZE / 2) + np.float32(_STRETCH) * scale * (
            points[:, 0] - np.float32(self.x)
        )
        projected[:, 1] = np.float32(IMAGE_SIZE / 2) - scale * (points[:, 2] - np.float32(self.z))
        projected[:, 2] = depth
        return projected


def sample_view(rng: np.random.Generator, style: ViewStyle) -> Matrix:
    """Draw the rotation [3, 3] from the body's to the camera's axes."""
    middle, half_width = choose(rng, style.yaws)
    yaw = middle + rng.uniform(-half_width, half_width)
    return rotation(X_AXIS, rng.normal(0, style.pitch_spread)) @ rotation(Z_AXIS, yaw)


def sample_camera(rng: np.random.Generator, style: ViewStyle, outline: Float32, torso_x: float) -> Camera:
    """Draw how a person is framed.

    Args:
        rng: source of chance.
        style: what to expect.
        outline: [N, 3] points of everything that is drawn, in camera axes.
        torso_x: where its torso is.
    """
    low, high = float(outline[:, 2].min()), float(outline[:, 2].max())
    x = torso_x + rng.normal(0, style.jitter_metres)
    if not happens(rng, style.full_body_share):
        height = rng.uniform(*style.upper_body_metres)
        upper_edge = high + rng.uniform(0.02, 0.12)
        return Camera(x, upper_edge - height / 2, _DISTANCE * IMAGE_SIZE / height)
    z = (low + high) / 2 + rng.normal(0, style.jitter_metres)
    return _fitted(outline, x, z, rng.uniform(*style.height_share) * IMAGE_SIZE)


def _fitted(outline: Float32, x: float, z: float, height_px: float) -> Camera:
    """Return the camera that makes the outline as high as asked, or as large as fits."""
    depth = outline[:, 1] + _DISTANCE
    half_px = IMAGE_SIZE / 2 - _MARGIN_PX
    up = (outline[:, 2] - z) / depth
    focal = min(height_px / float(up.max() - up.min()), half_px / float(np.abs(up).max()))
    reach = _reach(outline, depth, x)
    if focal * reach > half_px:
        x = (float(outline[:, 0].min()) + float(outline[:, 0].max())) / 2
        reach = _reach(outline, depth, x)
    return Camera(x, z, min(focal, half_px / reach))


def _reach(outline: Float32, depth: NDArray[np.floating], x: float) -> float:
    """Return how far the outline goes to the left or right of x, in px of a picture of focal length 1."""
    return _STRETCH * float((np.abs(outline[:, 0] - x) / depth).max())
