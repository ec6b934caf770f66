"""The contact sheet: what stands where, and that it stays small."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xmdpt.quality.sheet import MAX_BYTES, NUM_PAIRS, draw_sheet, save_sheet


def flat_rows(count: int) -> list[list[np.ndarray]]:
    """Each picture of one colour: red tells the pair, green the column."""
    return [[np.full((256, 256, 3), (20 * n, 60 * c, 9), np.uint8) for c in range(4)] for n in range(count)]


def test_sheet_when_there_are_twelve_pairs_then_each_picture_stands_in_its_place() -> None:
    width, height = 88, 128
    sheet = np.array(draw_sheet(flat_rows(NUM_PAIRS), width, "words"))

    for number in range(NUM_PAIRS):
        for column in range(4):
            is_it = (sheet == (20 * number, 60 * column, 9)).all(axis=2)
            assert is_it.sum() == width * height
    # The first half on the left from above to below, the second on the right.
    tops = [np.argwhere((sheet == (20 * number, 0, 9)).all(axis=2))[0].tolist() for number in (0, 1, 6)]
    assert tops[0][1] == tops[1][1] < tops[2][1]
    assert tops[0][0] == tops[2][0] < tops[1][0]


def test_sheet_when_the_pairs_are_few_then_it_has_few_lines(tmp_path: Path) -> None:
    save_sheet(flat_rows(1), tmp_path / "folder" / "sheet.png", "one pair")

    with Image.open(tmp_path / "folder" / "sheet.png") as sheet:
        assert sheet.height < sheet.width


def test_sheet_when_pictures_compress_badly_then_they_are_made_smaller(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    for name, max_bytes in (("small", 60_000), ("large", MAX_BYTES)):
        save_sheet([[noise] * 4], tmp_path / f"{name}.png", "words", max_bytes)

    assert (tmp_path / "small.png").stat().st_size <= 60_000
    with Image.open(tmp_path / "small.png") as small, Image.open(tmp_path / "large.png") as large:
        assert small.width < large.width


def test_sheet_when_nothing_helps_then_it_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)

    with pytest.raises(ValueError, match="1 pairs does not fit into 10000 bytes"):
        save_sheet([[noise] * 4], tmp_path / "sheet.png", "words", max_bytes=10_000)
