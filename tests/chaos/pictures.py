"""The photos and poses that clients send, and the photos that kill a worker.

Each is 256 x 256 already, so that the service keeps its pixels.
"""

import io
import json

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NUM_PHOTOS, NUM_POSES = 6, 5
_SIDE = 256
_POISON = {"crash": (13, 37, 201), "hang": (13, 37, 202)}
_BODY = (
    (128, 40), (128, 70), (100, 70), (90, 105), (85, 140), (156, 70), (166, 105), (171, 140), (110, 140),
    (108, 185), (106, 230), (146, 140), (148, 185), (150, 230), (122, 34), (134, 34), (114, 38), (142, 38),
)  # fmt: skip


def photo_file(number: int, poison: str = "") -> bytes:
    """A PNG of a few kB, the same for the same arguments; a poison photo is one whose first pixel tells the worker."""
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 256, (8, 8, 3), np.uint8)
    pixels = blocks.repeat(_SIDE // 8, axis=0).repeat(_SIDE // 8, axis=1)
    pixels[0, 0] = _POISON.get(poison, (0, 0, 0))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def pose_file(number: int) -> bytes:
    """JSON of 18 key points: one person, leaning more with each number."""
    points = [[x + number * (140 - y) / 12, y] for x, y in _BODY]
    return json.dumps({"keypoints": points, "size": [_SIDE, _SIDE]}).encode()


def poison_of(photo: NDArray[np.uint8]) -> str:
    """`crash`, `hang` or nothing, for a photo [256,256,3] as a worker gets it."""
    first = tuple(photo[0, 0].tolist())
    return next((poison for poison, pixel in _POISON.items() if pixel == first), "")
