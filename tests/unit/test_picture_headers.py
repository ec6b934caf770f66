"""What a picture file says of itself is read right, and a file that breaks its format is refused before decoding."""

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.api.picture_headers import BrokenPictureError, picture_format, read_jpeg, read_png, read_webp
from tests.api import pictures
from tests.unit.builders import repeatable

GOOD_PNG, GOOD_JPEG, GOOD_WEBP = pictures.png(60, 80), pictures.jpeg(60, 80), pictures.webp(60, 80)
SIDES = st.integers(1, 300)
GOOD_CHUNKS = 3
CRITICAL_OF_PNG = (b"IHDR", b"IDAT", b"IEND")


def chunk_kinds(content: bytes) -> list[bytes]:
    """The kinds of a PNG's chunks, in their order."""
    kinds, position = [], 8
    while position < len(content):
        kinds.append(content[position + 4 : position + 8])
        position += 12 + int.from_bytes(content[position : position + 4])
    return kinds


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (GOOD_PNG, "PNG"),
        (GOOD_JPEG, "JPEG"),
        (GOOD_WEBP, "WEBP"),
        (b"", None),
        (GOOD_PNG[:7], None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (pictures.encoded(pictures.image(), "GIF"), None),
        (b" " + GOOD_PNG, None),
    ],
    ids=["png", "jpeg", "webp", "empty", "cut", "wave", "gif", "shifted"],
)
def test_format_when_told_by_the_first_bytes_then_known_or_none(content: bytes, name: str | None) -> None:
    assert picture_format(content) == name


@repeatable
@given(SIDES, SIDES)
def test_png_when_good_then_its_size_is_read(width: int, height: int) -> None:
    header = read_png(pictures.encoded(Image.new("L", (width, height)), "PNG"))

    assert (header.width, header.height, header.is_animated) == (width, height, False)


@pytest.mark.parametrize("options", [{"quality": 50}, {"lossless": True}, {"quality": 50, "exif": b"Exif\0\0x"}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (17, 300), (300, 17)])
def test_webp_when_of_any_kind_then_its_size_is_read(size: tuple[int, int], mode: str, options: dict) -> None:
    header = read_webp(pictures.encoded(Image.new(mode, size, (9,) * len(mode)), "WEBP", **options))

    assert (header.width, header.height, header.is_animated) == (*size, False)


def test_webp_when_its_sizes_are_the_largest_then_no_bit_is_lost() -> None:
    assert read_webp(pictures.webp_of_claimed_size(2**24, 2**24)).width == 2**24
    body = b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(5)
    header = read_webp(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert (header.width, header.height) == (16384, 16384)


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_animation_when_it_has_frames_then_it_is_one(name: str) -> None:
    read = {"PNG": read_png, "WEBP": read_webp}[name]

    assert read(pictures.animated(name)).is_animated


def test_png_when_it_holds_more_than_pixels_then_the_decoder_never_sees_it() -> None:
    content = GOOD_PNG
    for kind in (b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"gAMA", b"acTL", b"tIME", b"xyZw"):
        content = pictures.with_chunk(content, kind, b"x" * 20)
    content = pictures.with_chunk(content, b"eXIf", b"II*\0")

    kept = read_png(content + b"PK\x03\x04 and more").content

    assert chunk_kinds(kept) == [b"IHDR", b"eXIf", b"IDAT", b"IEND"]
    assert Image.open(io.BytesIO(kept)).tobytes() == Image.open(io.BytesIO(GOOD_PNG)).tobytes()


def test_png_when_it_has_as_many_chunks_as_it_may_then_its_size_is_read() -> None:
    assert len(chunk_kinds(GOOD_PNG)) == GOOD_CHUNKS

    header = read_png(GOOD_PNG[:33] + pictures.chunk(b"xyZw") * (50_000 - GOOD_CHUNKS) + GOOD_PNG[33:])

    assert (header.width, header.height) == (60, 80)


@pytest.mark.parametrize("length", [*range(8, 60), len(GOOD_PNG) - 12, len(GOOD_PNG) - 1])
def test_png_when_cut_anywhere_then_it_is_broken(length: int) -> None:
    with pytest.raises(BrokenPictureError, match="cut off"):
        read_png(GOOD_PNG[:length])


@pytest.mark.parametrize("position", [*range(12, 33), 50, len(GOOD_PNG) - 8, len(GOOD_PNG) - 1])
def test_png_when_a_bit_flips_then_it_is_broken(position: int) -> None:
    content = bytearray(GOOD_PNG)
    content[position] ^= 0x10

    with pytest.raises(BrokenPictureError):
        read_png(bytes(content))


def without(kind: bytes) -> bytes:
    start = GOOD_PNG.index(kind) - 4
    return GOOD_PNG[:start] + GOOD_PNG[start + 12 + int.from_bytes(GOOD_PNG[start : start + 4]) :]


@pytest.mark.parametrize(
    "content",
    [
        *(without(kind) for kind in CRITICAL_OF_PNG),
        pictures.with_chunk(GOOD_PNG, b"IHDR", bytes(13)),
        GOOD_PNG[:8] + pictures.chunk(b"tEXt", b"x") + GOOD_PNG[8:],
        GOOD_PNG[:8] + pictures.chunk(b"IHDR", bytes(12)) + GOOD_PNG[33:],
        pictures.with_chunk(GOOD_PNG, b"ABCD", b""),
        GOOD_PNG[:33] + struct.pack(">I", 2**32 - 1) + GOOD_PNG[37:],
        GOOD_PNG[:33] + pictures.chunk(b"xyZw") * (50_001 - GOOD_CHUNKS) + GOOD_PNG[33:],
    ],
    ids=[
        "no IHDR",
        "no IDAT",
        "no IEND",
        "two IHDR",
        "IHDR second",
        "short IHDR",
        "unknown critical",
        "huge length",
        "too many",
    ],
)
def test_png_when_its_chunks_are_wrong_then_it_is_broken(content: bytes) -> None:
    with pytest.raises(BrokenPictureError):
        read_png(content)


@pytest.mark.parametrize("length", [12, 16, 20, 29, len(GOOD_WEBP) - 1])
def test_webp_when_cut_then_it_is_broken(length: int) -> None:
    with pytest.raises(BrokenPictureError, match="cut off"):
        read_webp(GOOD_WEBP[:length])


@pytest.mark.parametrize("kind", [b"VP8Z", b"ALPH", b"VP8L", b"\0\0\0\0"])
def test_webp_when_its_first_chunk_is_another_then_it_is_broken(kind: bytes) -> None:
    with pytest.raises(BrokenPictureError, match="unknown chunk"):
        read_webp(GOOD_WEBP[:12] + kind + GOOD_WEBP[16:])


@repeatable
@given(SIDES, SIDES, st.booleans(), st.sampled_from(["L", "RGB", "CMYK"]))
def test_jpeg_when_good_then_its_size_is_read(width: int, height: int, is_progressive: bool, mode: str) -> None:
    content = pictures.encoded(Image.new(mode, (width, height)), "JPEG", progressive=is_progressive)

    header = read_jpeg(content)

    assert (header.width, header.height, header.is_animated, header.content) == (width, height, False, content)


@pytest.mark.parametrize(
    "filler",
    [
        b"\xff" * 300,
        b"\xff\xd8",
        b"\xff\0",
        b"junk",
        b"\xff\xfe\0\x05abc" * 900,
        b"\xff\xe1\0\x06\xff\xc0\0\0",
    ],
    ids=["padding", "start again", "an escape", "junk", "many segments", "a size inside of a segment"],
)
def test_jpeg_when_something_comes_before_its_size_then_it_is_passed_over_as_decoders_do(filler: bytes) -> None:
    content = GOOD_JPEG[:20] + filler + GOOD_JPEG[20:]

    header = read_jpeg(content)

    assert (header.width, header.height) == Image.open(io.BytesIO(content)).size == (60, 80)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff",
        GOOD_JPEG[: GOOD_JPEG.index(b"\xff\xc0") + 8],
        b"\xff\xd8" + GOOD_JPEG[GOOD_JPEG.index(b"\xff\xda") :],
        b"\xff\xd8\xff\xd9" + GOOD_JPEG,
        GOOD_JPEG[:2] + b"\xff\xfe\xff\xff" + GOOD_JPEG[2:],
        GOOD_JPEG[:2] + b"\xff\xfe\0\x02" * 1000 + GOOD_JPEG[2:],
        GOOD_JPEG[:2] + b"\xff" * 1_000_000,
    ],
    ids=[
        "start",
        "cut in its size",
        "scan first",
        "end first",
        "segment too long",
        "too many segments",
        "padding only",
    ],
)
def test_jpeg_when_it_does_not_say_its_size_then_it_is_broken(content: bytes) -> None:
    with pytest.raises(BrokenPictureError, match="JPEG"):
        read_jpeg(content)


READERS = {pictures.PNG_SIGNATURE: read_png, b"\xff\xd8\xff": read_jpeg, b"RIFF": read_webp}


@repeatable
@given(st.binary(max_size=200), st.sampled_from(list(READERS)))
def test_header_when_it_is_any_bytes_then_a_header_or_our_own_error(content: bytes, start: bytes) -> None:
    with suppress(BrokenPictureError):
        header = READERS[start](start + content)
        assert header.width >= 0
        assert header.height >= 0
