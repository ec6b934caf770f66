"""A decoded picture of any size and mode to the photo that the model takes.

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


def to_photo(image: Image.Image) -> NDArray[np.uint8]:
    """Return the picture upright, in RGB, stretched to the square: [256, 256, 3] uint8, 0..255.

    The aspect ratio is not kept, as in the paper's data. The resampling is Pillow's bicubic, which smooths when it
    shrinks; a picture that already has the size keeps its pixels.

    Levels of 16 bits are scaled to 8; a tag that can't be read is no damage.

    Raises:
        OSError: the picture's data is damaged or cut short; some of Pillow's decoders raise other errors instead.
    """
    square = to_upright(image).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    return np.array(square)


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
