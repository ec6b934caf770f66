"""The contact sheet of the first held-out pairs, small enough for a README.

Does not choose pairs: they are the first ones, whatever came of them.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xmdpt.evaluation.metrics import PROTOCOL_SIZE

NUM_PAIRS = 12
"""Pairs on a sheet."""

COLUMNS = ("source", "pose", "generated", "truth")

MAX_BYTES = 400_000
"""Of the file: whoever looks at the README loads it."""

_GROUPS = 2
# Widths of one picture in px, the largest that fits is taken; heights follow from the photo's shape.
_WIDTHS = (132, 120, 110, 100, 88, 66, 44)
# In px; a pair's number stands before its pictures.
_GAP, _GROUP_GAP, _MARGIN, _HEAD, _FOOT, _NUMBER = 3, 16, 10, 22, 22, 20
_PAPER, _INK, _FAINT_INK = "white", "#222222", "#777777"
_HEAD_PT, _SMALL_PT = 13, 10

Row = Sequence[NDArray[np.uint8]]
"""Source, pose, generated and truth of one pair, [256, 256, 3] uint8 RGB each."""


def save_sheet(rows: Sequence[Row], path: Path, words: str, max_bytes: int = MAX_BYTES) -> None:
    """Write the sheet as a PNG, its pictures as large as the file's size allows.

    Args:
        rows: one a pair.
        path: of the file; its folder is made if need be.
        words: a line for its foot.
        max_bytes: of the file.

    Raises:
        ValueError: even with the smallest pictures the file is too large.
    """
    for width in _WIDTHS:
        file = io.BytesIO()
        draw_sheet(rows, width, words).save(file, "png", optimize=True)
        if file.tell() <= max_bytes:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.getvalue())
            return
    raise ValueError(f"a sheet of {len(rows)} pairs does not fit into {max_bytes} bytes")


def draw_sheet(rows: Sequence[Row], width: int, words: str) -> Image.Image:
    """Return the sheet: pairs below each other in two groups, each with a head of names, in the photos' true shape.

    Args:
        rows: one a pair.
        width: of one picture in px.
        words: for the foot.
    """
    height = round(width * PROTOCOL_SIZE[1] / PROTOCOL_SIZE[0])
    num_lines = -(-len(rows) // _GROUPS)
    group_width = _NUMBER + len(COLUMNS) * (width + _GAP) - _GAP
    size = (
        2 * _MARGIN + _GROUPS * group_width + (_GROUPS - 1) * _GROUP_GAP,
        2 * _MARGIN + _HEAD + num_lines * (height + _GAP) + _FOOT,
    )
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_HEAD_PT)
    small_font = ImageFont.load_default(_SMALL_PT)
    for number, row in enumerate(rows):
        group, line = divmod(number, num_lines)
        left = _MARGIN + group * (group_width + _GROUP_GAP) + _NUMBER
        top = _MARGIN + _HEAD + line * (height + _GAP)
        pen.text((left - 6, top + height / 2), str(number), fill=_FAINT_INK, font=small_font, anchor="rm")
        for column, (name, picture) in enumerate(zip(COLUMNS, row, strict=True)):
            x = left + column * (width + _GAP)
            sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), (x, top))
            if line == 0:
                pen.text((x + width / 2, _MARGIN + _HEAD / 2), name, fill=_INK, font=font, anchor="mm")
    pen.text((_MARGIN + _NUMBER, size[1] - _MARGIN), words, fill=_FAINT_INK, font=small_font, anchor="ls")
    return sheet
