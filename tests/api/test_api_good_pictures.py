"""Every kind of picture that a client may have: accepted, upright, in the colours that it shows."""

import io
import zlib

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.api import pictures
from tests.api.bad_inputs import JSON_POSE, SKELETON, SOURCE, as_form, part
from tests.api.conftest import Edge

COLOUR = (200, 100, 50)
GREY = (77, 77, 77)
PLAIN = Image.new("RGB", (60, 80), COLOUR)
PLAIN_GREY = Image.new("L", (60, 80), 77)
PALETTE = PLAIN.quantize(4)
TEXT_BOMB = b"Comment\0\0" + zlib.compress(bytes(20_000_000))
# A lossless file keeps its colours; a lossy one may miss them by this much.
EXACT, LOSSY = 0, 3

encoded = pictures.encoded


def sixteen_bits(level: int) -> bytes:
    return encoded(Image.fromarray(np.full((80, 60), level, np.uint16)), "PNG")


KINDS: dict[str, tuple[bytes, tuple[int, int, int], int]] = {
    "png-rgb": (encoded(PLAIN, "PNG"), COLOUR, EXACT),
    "png-rgb-transparent-colour": (encoded(PLAIN, "PNG", transparency=COLOUR), COLOUR, EXACT),
    "png-rgba": (encoded(Image.new("RGBA", (60, 80), (*COLOUR, 0)), "PNG"), COLOUR, EXACT),
    "png-grey": (encoded(PLAIN_GREY, "PNG"), GREY, EXACT),
    "png-grey-transparent-level": (encoded(PLAIN_GREY, "PNG", transparency=77), GREY, EXACT),
    "png-grey-alpha": (encoded(Image.new("LA", (60, 80), (77, 10)), "PNG"), GREY, EXACT),
    "png-grey-16-bit": (sixteen_bits(0x4D80), GREY, EXACT),
    "png-grey-16-bit-white": (sixteen_bits(0xFFFF), (255, 255, 255), EXACT),
    "png-grey-16-bit-black": (sixteen_bits(0x00FF), (0, 0, 0), EXACT),
    "png-1-bit-white": (encoded(Image.new("1", (60, 80), 1), "PNG"), (255, 255, 255), EXACT),
    "png-1-bit-black": (encoded(Image.new("1", (60, 80), 0), "PNG"), (0, 0, 0), EXACT),
    "png-palette": (encoded(PALETTE, "PNG"), COLOUR, EXACT),
    "png-palette-one-transparent": (encoded(PALETTE, "PNG", transparency=0), COLOUR, EXACT),
    "png-palette-half-transparent": (encoded(PALETTE, "PNG", transparency=bytes([9, 200, 0, 255])), COLOUR, EXACT),
    "png-broken-profile": (pictures.with_chunk(encoded(PLAIN, "PNG"), b"iCCP", b"nonsense"), COLOUR, EXACT),
    "png-text-bomb": (pictures.with_chunk(encoded(PLAIN, "PNG"), b"zTXt", TEXT_BOMB), COLOUR, EXACT),
    "png-broken-exif": (pictures.with_chunk(encoded(PLAIN, "PNG"), b"eXIf", b"nonsense"), COLOUR, EXACT),
    "png-one-frame": (pictures.with_chunk(encoded(PLAIN, "PNG"), b"acTL", bytes([0, 0, 0, 1] * 2)), COLOUR, EXACT),
    "png-and-zip": (encoded(PLAIN, "PNG") + b"PK\x03\x04" + bytes(40), COLOUR, EXACT),
    "jpeg": (encoded(PLAIN, "JPEG", quality=95), COLOUR, LOSSY),
    "jpeg-progressive": (encoded(PLAIN, "JPEG", quality=95, progressive=True), COLOUR, LOSSY),
    "jpeg-cmyk": (encoded(PLAIN.convert("CMYK"), "JPEG", quality=95), COLOUR, LOSSY),
    "jpeg-grey": (encoded(PLAIN_GREY, "JPEG", quality=95), GREY, LOSSY),
    "jpeg-and-zip": (encoded(PLAIN, "JPEG", quality=95) + b"PK\x03\x04" + bytes(40), COLOUR, LOSSY),
    "webp-broken-exif": (encoded(PLAIN, "WEBP", lossless=True, exif=b"Exif\0\0nonsense"), COLOUR, EXACT),
    "jpeg-broken-exif": (encoded(PLAIN, "JPEG", quality=95, exif=b"Exif\0\0nonsense"), COLOUR, LOSSY),
    "jpeg-broken-profile": (encoded(PLAIN, "JPEG", quality=95, icc_profile=b"nonsense"), COLOUR, LOSSY),
    "webp": (encoded(PLAIN, "WEBP", quality=95), COLOUR, LOSSY),
    "webp-lossless": (encoded(PLAIN, "WEBP", lossless=True), COLOUR, EXACT),
    "webp-alpha": (encoded(Image.new("RGBA", (60, 80), (*COLOUR, 128)), "WEBP", quality=95), COLOUR, LOSSY),
    "smallest": (encoded(Image.new("RGB", (16, 16), COLOUR), "PNG"), COLOUR, EXACT),
    "widest": (encoded(Image.new("RGB", (4096, 16), COLOUR), "PNG"), COLOUR, EXACT),
}

# Where the first row and the first column of the file lie in the picture that is shown (Exif 2.32, tag 0x0112).
STORED = {
    0: lambda upright: upright,
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright[::-1].swapaxes(0, 1),
    99: lambda upright: upright,
}
QUARTERS = ((250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 250))


def stored_pixels(edge: Edge, *form: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Photo and skeleton, [256,256,3] uint8 each, as the gateway has stored them."""
    response = edge.client.post("/v1/jobs", **as_form(*form))
    assert response.status_code == httpx.codes.ACCEPTED, response.text
    content = edge.blobs.content[f"in/{response.json()['id']}"]
    photo, skeleton = np.frombuffer(content, np.uint8).reshape(2, 256, 256, 3)
    return photo, skeleton


def in_quarters(orientation: int, name: str) -> bytes:
    """A file that shows red, green, blue, white (left to right, down) where its orientation is obeyed."""
    upright = np.array(QUARTERS, np.uint8).reshape(2, 2, 3).repeat(48, axis=0).repeat(32, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    options = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}}[name]
    return encoded(image, name, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_photo_when_it_is_of_any_kind_then_its_colour_is_the_shown_one(edge: Edge, kind: str) -> None:
    content, colour, tolerance = KINDS[kind]

    photo, _ = stored_pixels(edge, part("source", content), JSON_POSE)

    # Uniform files stay uniform, so every pixel is the golden one.
    assert np.abs(photo.astype(int) - np.array(colour)).max() <= tolerance


def test_kinds_when_opened_then_they_are_what_their_names_say() -> None:
    # Pillow itself refuses some of the broken ones.
    whole = {kind: content for kind, (content, _, _) in KINDS.items() if "broken" not in kind and "bomb" not in kind}
    modes = {kind: Image.open(io.BytesIO(content)).mode for kind, content in whole.items()}

    assert set(modes.values()) == {"RGB", "RGBA", "L", "LA", "I;16", "1", "P", "CMYK"}
    assert (modes["jpeg-cmyk"], modes["png-grey-16-bit"], modes["png-1-bit-white"]) == ("CMYK", "I;16", "1")


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_photo_when_exif_says_how_it_was_held_then_it_is_upright(edge: Edge, orientation: int, name: str) -> None:
    photo, _ = stored_pixels(edge, part("source", in_quarters(orientation, name)), JSON_POSE)

    shown = [photo[y, x] for y in (64, 192) for x in (64, 192)]
    assert np.abs(np.array(shown, int) - np.array(QUARTERS)).max() <= 6


def test_skeleton_when_exif_says_how_it_was_held_then_it_is_upright_too(edge: Edge) -> None:
    _, skeleton = stored_pixels(edge, SOURCE, part("pose", in_quarters(6, "PNG")))

    shown = [skeleton[y, x] for y in (64, 192) for x in (64, 192)]
    assert np.array_equal(shown, QUARTERS)


def test_skeleton_when_it_has_the_size_then_its_pixels_are_kept(edge: Edge) -> None:
    drawn = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)

    photo, skeleton = stored_pixels(edge, SOURCE, part("pose", encoded(Image.fromarray(drawn), "PNG")))

    assert np.array_equal(skeleton, drawn)
    assert not np.array_equal(photo, drawn)


def test_pose_when_given_as_points_then_its_skeleton_is_drawn(edge: Edge) -> None:
    _, drawn = stored_pixels(edge, SOURCE, JSON_POSE)
    _, supplied = stored_pixels(edge, SOURCE, SKELETON)

    assert (drawn == 0).all(axis=2).mean() > 0.5, "a skeleton stands on black"
    # The first of the corpus' points: the nose, blue, at (100, 40).
    assert tuple(drawn[40, 100]) != (0, 0, 0)
    assert not np.array_equal(drawn, supplied)
