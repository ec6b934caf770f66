"""Sheets of pictures for the eye while a run goes on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE_PX = 160
_GROUP_COLUMNS = 3


def sheet(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> Image.Image:
    """Return the rows' pictures, [256, 256, 3] uint8 each, side by side; rows stand in columns of their own."""
    height = -(-len(rows) // _GROUP_COLUMNS)
    canvas = Image.new("RGB", (_SIDE_PX * len(rows[0]) * _GROUP_COLUMNS, _SIDE_PX * height))
    for number, row in enumerate(rows):
        left = number // height * len(row)
        for column, picture in enumerate(row):
            small = Image.fromarray(picture).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)
            canvas.paste(small, ((left + column) * _SIDE_PX, number % height * _SIDE_PX))
    return canvas
