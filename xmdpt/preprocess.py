"""A decoded picture of any size and mode, or a frame of it, to the photo that the model takes.

Does not decode files nor bound their size: who opens the picture does.
"""

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from xmdpt.spec import IMAGE_SIZE

_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_THEIR_SIDE = {5, 6, 7, 8}

# What Pillow raises while it reads damaged tags.
_TAG_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error)


Frame = tuple[float, float, float, float]
"""Left, top, width and height in px of the upright picture; it may reach beyond."""


def to_photo(image: Image.Image, frame: Frame | None = None) -> NDArray[np.uint8]:
    """Return the picture upright, in RGB, stretched to the square: [256, 256, 3] uint8, 0..255.

    The aspect ratio is not kept, as in the paper's data. The resampling is Pillow's bicubic, which smooths when it
    shrinks; a picture that already has the size keeps its pixels.

    Levels of 16 bits are scaled to 8; a tag that can't be read is no damage.

    Args:
        image: of any size and mode.
        frame: what of it to show; beyond the picture its edges go on. None: all of it.

    Raises:
        OSError: the picture's data is damaged or cut short; some of Pillow's decoders raise other errors instead.
        ValueError: the frame shows nothing of the picture.
    """
    upright = to_upright(image)
    if frame is None:
        return np.array(upright.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))
    left, top, width, height = frame
    x, x_px = _span(left, width, upright.width)
    y, y_px = _span(top, height, upright.height)
    size = (x_px[1] - x_px[0], y_px[1] - y_px[0])
    shown = np.array(upright.resize(size, Image.Resampling.BICUBIC, box=(x[0], y[0], x[1], y[1])))
    beyond = ((y_px[0], IMAGE_SIZE - y_px[1]), (x_px[0], IMAGE_SIZE - x_px[1]), (0, 0))
    return np.pad(shown, beyond, mode="edge")


def _span(start: float, length: float, limit: int) -> tuple[tuple[float, float], tuple[int, int]]:
    """Along one axis: what of the frame the picture has, and the px of the square that show it, one at least."""
    low, high = max(start, 0.0), min(start + length, float(limit))
    if not low < high:
        raise ValueError("the frame shows nothing of the picture")
    first = min(round((low - start) / length * IMAGE_SIZE), IMAGE_SIZE - 1)
    last = max(round((high - start) / length * IMAGE_SIZE), first + 1)
    return (low, high), (first, last)


def to_upright(image: Image.Image) -> Image.Image:
    """Return the picture upright and in RGB, at its own size.

    Raises:
        OSError: as in `to_photo`.
    """
    image.load()
    # Pillow's own exif_transpose also writes the other tags anew, and fails where one of them is damaged.
    orientation = _orientation(image)
    if orientation in _TO_UPRIGHT:
        image = image.transpose(_TO_UPRIGHT[orientation])
    return _to_rgb(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height in px of the upright picture, without decoding it."""
    width, height = image.size
    return (height, width) if _orientation(image) in _ON_THEIR_SIDE else (width, height)


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except _TAG_ERRORS:
        return None


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert where Pillow alone would clip levels of 16 bits, or warn of a palette's transparency."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda level: level / 256)
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")
    return image.convert("RGB")
