"""Any decoded picture becomes the photo that the model takes: upright, RGB, a square of 256 px."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from xmdpt.preprocess import to_photo


def a_picture(width: int = 256, height: int = 256) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def reopened(image: Image.Image, orientation: int | None = None) -> Image.Image:
    """The picture after a way through a file, with an orientation in its metadata."""
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return Image.open(file)


def test_photo_when_it_has_the_size_then_its_pixels_stay() -> None:
    photo = to_photo(a_picture())
    assert photo.dtype == np.uint8
    assert (photo == np.asarray(a_picture())).all()


@given(st.integers(1, 700), st.integers(1, 700))
@settings(deadline=None, max_examples=25)
def test_photo_when_of_any_size_then_stretched_to_the_square(width: int, height: int) -> None:
    photo = to_photo(a_picture(width, height))
    assert photo.shape == (256, 256, 3)
    assert photo.flags.writeable


def test_photo_when_narrow_then_stretched_and_not_padded() -> None:
    halves = np.zeros((256, 176, 3), np.uint8)
    halves[:, 88:] = 255

    photo = to_photo(Image.fromarray(halves))

    # Bicubic reaches two source pixels to each side of the edge.
    assert (photo[:, :124] == 0).all()
    assert (photo[:, 132:] == 255).all()


def test_photo_when_it_shrinks_then_smoothed() -> None:
    rows, columns = np.indices((1024, 1024))
    checks = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)

    photo = to_photo(Image.fromarray(checks))

    assert photo.min() >= 125
    assert photo.max() <= 130


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_when_its_file_is_turned_then_upright(orientation: int) -> None:
    image = reopened(a_picture(120, 200), orientation)

    photo = to_photo(image)

    assert (photo == to_photo(ImageOps.exif_transpose(image))).all()
    is_unturned = (photo == to_photo(a_picture(120, 200))).all()
    assert is_unturned == (orientation == 1)


def test_photo_when_turned_by_a_quarter_then_the_corners_are_where_a_viewer_shows_them() -> None:
    # Orientation 6: the camera was held so that the stored left edge is the top.
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[:10, :10] = (255, 0, 0)

    photo = to_photo(reopened(Image.fromarray(pixels), orientation=6))

    assert photo[5, 250].tolist() == [255, 0, 0]
    assert photo[5, 5].tolist() == [0, 0, 0]


@pytest.mark.parametrize("orientation", [None, 0, 9, 65535])
def test_photo_when_the_orientation_is_none_or_nonsense_then_as_stored(orientation: int | None) -> None:
    assert (to_photo(reopened(a_picture(), orientation)) == np.asarray(a_picture())).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_photo_when_in_any_mode_then_three_channels(mode: str) -> None:
    photo = to_photo(a_picture(64, 64).convert(mode))
    assert photo.shape == (256, 256, 3)
    assert photo.dtype == np.uint8


def test_photo_when_grey_then_the_same_in_each_channel() -> None:
    grey = a_picture().convert("L")
    photo = to_photo(grey)
    assert all((photo[:, :, channel] == np.asarray(grey)).all() for channel in range(3))


def test_photo_when_it_has_a_palette_then_its_colours() -> None:
    image = Image.new("P", (256, 256), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert (to_photo(image) == [10, 200, 30]).all()


def test_photo_when_transparent_then_the_colour_below_counts() -> None:
    assert (to_photo(Image.new("RGBA", (256, 256), (10, 200, 30, 0))) == [10, 200, 30]).all()


def test_photo_when_the_file_is_cut_short_then_an_error() -> None:
    file = io.BytesIO()
    a_picture().save(file, "PNG")
    cut = Image.open(io.BytesIO(file.getvalue()[: len(file.getvalue()) // 2]))
    with pytest.raises(OSError, match="truncated"):
        to_photo(cut)


def test_photo_when_a_frame_is_within_the_picture_then_as_of_the_part_alone() -> None:
    picture = a_picture(400, 300)

    framed = to_photo(picture, (40, 30, 200, 100))

    alone = to_photo(picture.crop((40, 30, 240, 130)))
    # At its edges a frame is smoothed with what lies around it.
    assert (framed[8:-8, 8:-8] == alone[8:-8, 8:-8]).all()


@given(st.floats(-300, 390), st.floats(-300, 290), st.floats(11, 900), st.floats(11, 900))
@settings(deadline=None, max_examples=50)
def test_photo_when_a_frame_touches_the_picture_then_a_square_and_edges_go_on(
    left: float, top: float, width: float, height: float
) -> None:
    picture = a_picture(400, 300)
    if left + width <= 0 or top + height <= 0:
        with pytest.raises(ValueError, match="nothing"):
            to_photo(picture, (left, top, width, height))
        return

    framed = to_photo(picture, (left, top, width, height))

    assert framed.shape == (256, 256, 3)
    beyond = round(-left / width * 256)
    if 1 <= beyond < 256:
        assert (framed[:, :beyond] == framed[:, beyond : beyond + 1]).all()


def test_photo_when_turned_by_its_tag_then_the_frame_is_of_the_upright_picture() -> None:
    picture = a_picture(300, 400)

    framed = to_photo(reopened(picture, orientation=6), (20, 40, 100, 150))

    assert (framed == to_photo(ImageOps.exif_transpose(reopened(picture, orientation=6)), (20, 40, 100, 150))).all()
