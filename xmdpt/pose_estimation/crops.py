"""Photos to the squares of fixed size that the two models see, smoothed where they shrink.

Coordinates are continuous: pixel i covers i..i+1. Does not choose what is cut out (`xmdpt.pose_estimation.regions`).
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.regions import Region

DETECTOR_SIDE = 224
LANDMARK_SIDE = 256

Photo = NDArray[np.uint8]


@dataclass(frozen=True)
class Letterbox:
    """A photo shrunk or grown to fit into the detector's square, with black bars, and the way back.

    Attributes:
        pixels: [224, 224, 3] float32, -1..1.
        origin: x and y in px of the square where the photo begins.
        scale: px of the square for one px of the photo, along x and y; they differ by rounding only.
    """

    pixels: NDArray[np.float32]
    origin: NDArray[np.float64]
    scale: NDArray[np.float64]

    def to_photo(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Move points [..., 2] from 0..1 of the square's side to px of the photo."""
        return (points * float(DETECTOR_SIDE) - self.origin) / self.scale


def letterbox(photo: Photo) -> Letterbox:
    """Fit a photo [H, W, 3] uint8 RGB into the detector's square."""
    height, width = photo.shape[:2]
    scale = DETECTOR_SIDE / max(width, height)
    size = np.maximum(np.rint([width * scale, height * scale]).astype(int), 1)
    x, y = (DETECTOR_SIDE - size) // 2
    square = np.zeros((DETECTOR_SIDE, DETECTOR_SIDE, 3), np.uint8)
    square[y : y + size[1], x : x + size[0]] = resized(photo, size[0], size[1])
    pixels = square.astype(np.float32) / np.float32(127.5) - 1
    return Letterbox(pixels, np.array([x, y], np.float64), size / np.array([width, height]))


def cut(photo: Photo, region: Region) -> NDArray[np.float32]:
    """Return what a region shows, [256, 256, 3] float32 RGB, 0..1, black beyond the photo.

    Args:
        photo: [H, W, 3] uint8 RGB.
        region: may lie partly or wholly off the photo.
    """
    to_photo = region.to_photo()
    left, top, right, bottom = _bounds(to_photo, photo.shape[1], photo.shape[0])
    if left >= right or top >= bottom:
        return np.zeros((LANDMARK_SIDE, LANDMARK_SIDE, 3), np.float32)
    part = photo[top:bottom, left:right]
    to_part = to_photo - [[0, 0, left], [0, 0, top]]
    shrink = LANDMARK_SIDE / region.size
    if shrink < 1:
        width, height = (max(1, round(length * shrink)) for length in (right - left, bottom - top))
        part = resized(part, width, height)
        to_part *= [[width / (right - left)], [height / (bottom - top)]]
    # From pixel centres to pixel centres, which is what OpenCV counts in.
    to_part[:, :2] /= LANDMARK_SIDE
    to_part[:, 2] += to_part[:, :2] @ (0.5, 0.5) - 0.5
    side = (LANDMARK_SIDE, LANDMARK_SIDE)
    crop = cv2.warpAffine(part, to_part, side, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return crop.astype(np.float32) / np.float32(255)


def resized(photo: Photo, width: int, height: int) -> Photo:
    """Return a photo at another size, [height, width, 3] uint8; means over areas where it shrinks, else bilinear."""
    is_smaller = width <= photo.shape[1] and height <= photo.shape[0]
    method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return cv2.resize(photo, (int(width), int(height)), interpolation=method).astype(np.uint8, copy=False)


def _bounds(to_photo: NDArray[np.float64], width: int, height: int) -> tuple[int, int, int, int]:
    """The upright rectangle of whole pixels that holds a region, within the photo; empty if it lies off it."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]) @ to_photo.T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    # A pixel more on each side, for the interpolation.
    left, right = (min(max(math.floor(x) + step, 0), width) for x, step in ((left, -1), (right, 2)))
    top, bottom = (min(max(math.floor(y) + step, 0), height) for y, step in ((top, -1), (bottom, 2)))
    return left, top, right, bottom
