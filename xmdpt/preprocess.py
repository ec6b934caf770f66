"""A decoded picture of any size and mode to the photo that the model takes.

Does not decode files nor bound their size: who opens the picture does.
"""

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


def to_photo(image: Image.Image) -> NDArray[np.uint8]:
    """Return the picture upright, in RGB, stretched to the square: [256, 256, 3] uint8, 0..255.

    The aspect ratio is not kept, as in the paper's data. The resampling is Pillow's bicubic, which smooths when it
    shrinks; a picture that already has the size keeps its pixels.

    Raises:
        OSError: the picture's data is damaged or cut short.
    """
    # Pillow's own exif_transpose also writes the other tags anew, and fails where one of them is damaged.
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    if orientation in _TO_UPRIGHT:
        image = image.transpose(_TO_UPRIGHT[orientation])
    square = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    return np.array(square)
