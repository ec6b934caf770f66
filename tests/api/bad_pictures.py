"""The corpus of unusable picture files, and of strange ones that are good all the same."""

import gzip
import struct
import zlib

from tests.api import pictures
from tests.api.bad_inputs import GOOD_PNG, JSON_POSE, SKELETON, SOURCE, BadInput, as_form, part

_TYPES = {
    "empty": b"",
    "text": b"this is no picture",
    "html": b"<html><body>hello</body></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\x03\x04" + bytes(60),
    "gzip": gzip.compress(GOOD_PNG),
    "gif": pictures.encoded(pictures.image(), "GIF"),
    "bmp": pictures.encoded(pictures.image(), "BMP"),
    "tiff": pictures.encoded(pictures.image(), "TIFF"),
    "ico": pictures.encoded(pictures.image(), "ICO"),
    "avif": bytes([0, 0, 0, 32]) + b"ftypavif" + bytes(60),
    "psd": b"8BPS\0\x01" + bytes(60),
    "script": b"#!/bin/sh\n",
    "wave": b"RIFF\x40\0\0\0WAVEfmt " + bytes(60),
    "png-with-bytes-before": b"\n" + GOOD_PNG,
    "png-sent-as-text": GOOD_PNG.replace(b"\r\n", b"\n"),
    "base64": b"iVBORw0KGgoAAAANSUhEUg==",
}
_GOOD = {"png": GOOD_PNG, "jpeg": pictures.jpeg(), "webp": pictures.webp()}
_NUM_CUTS = 64
_MAX_BYTES = 8_000_000


def _picture(name: str, status: int, code: str, content: bytes, pointer: str = "/source", kind: str = "") -> BadInput:
    is_source = pointer == "/source"
    file = part("source" if is_source else "pose", content, content_type=kind)
    return BadInput(name, status, code, pointer, **as_form(*((file, SKELETON) if is_source else (SOURCE, file))))


def _cuts(content: bytes) -> list[int]:
    """Places all over the file, from behind the first bytes that tell its type."""
    return [20 + (len(content) - 21) * number // (_NUM_CUTS - 1) for number in range(_NUM_CUTS)]


def _padded_jpeg(filler: bytes) -> bytes:
    """A JPEG whose size comes behind as much of this as fits into a file."""
    good = pictures.jpeg()
    return good[:2] + filler * ((_MAX_BYTES - len(good)) // len(filler)) + good[2:]


def _many_chunks() -> bytes:
    return GOOD_PNG[:33] + pictures.chunk(b"xyZw") * ((_MAX_BYTES - len(GOOD_PNG)) // 12) + GOOD_PNG[33:]


PICTURES = [
    *(_picture(f"source-{name}", 415, "image_type", content) for name, content in _TYPES.items()),
    _picture("source-gif-says-png", 415, "image_type", _TYPES["gif"], kind="image/png"),
    _picture("pose-text", 415, "image_type", b"no picture", "/pose"),
    _picture("pose-empty", 415, "image_type", b"", "/pose"),
    *(
        _picture(f"{name}-cut-at-{cut}", 422, "image_invalid", content[:cut])
        for name, content in _GOOD.items()
        for cut in _cuts(content)
    ),
    _picture("pose-cut", 422, "image_invalid", GOOD_PNG[:-20], "/pose"),
    _picture("png-no-iend", 422, "image_invalid", GOOD_PNG[:-12]),
    _picture("png-bad-checksum", 422, "image_invalid", GOOD_PNG[:-5] + b"\0" + GOOD_PNG[-4:]),
    _picture("png-unknown-critical-chunk", 422, "image_invalid", pictures.with_chunk(GOOD_PNG, b"ABCD", b"x")),
    _picture("png-no-pixels", 422, "image_invalid", pictures.png_header_only(64, 64)),
    _picture("png-signature-only", 422, "image_invalid", pictures.PNG_SIGNATURE),
    _picture("png-8-mb-of-chunks", 422, "image_invalid", _many_chunks()),
    _picture("jpeg-no-size", 422, "image_invalid", b"\xff\xd8\xff\xd9" + bytes(40)),
    _picture("jpeg-two-sizes", 422, "image_invalid", pictures.jpeg_of_two_sizes((60, 80), (64, 64))),
    _picture("jpeg-8-mb-of-escapes", 422, "image_invalid", _padded_jpeg(b"\xff\0")[:-300]),
    _picture("jpeg-8-mb-of-segments", 422, "image_invalid", _padded_jpeg(b"\xff\xfe\0\x02")),
    _picture("jpeg-8-mb-of-scans", 422, "image_invalid", pictures.many_scans(2048, 2048, 30_000)),
    _picture("bomb-20-megapixels", 422, "image_too_large", pictures.bomb(5000, 4000)),
    _picture("bomb-88-megapixels", 422, "image_too_large", pictures.bomb(9400, 9400)),
    _picture("bomb-as-pose", 422, "image_too_large", pictures.bomb(5000, 4000), "/pose"),
    _picture("png-50k-x-50k", 422, "image_too_large", pictures.png_header_only(50_000, 50_000)),
    _picture("png-2^31-x-1", 422, "image_too_large", pictures.png_header_only(2**31, 1)),
    _picture("png-0-x-0", 422, "image_too_small", pictures.png_header_only(0, 0)),
    _picture("jpeg-65500-squared", 422, "image_too_large", pictures.jpeg_of_claimed_size(65_500, 65_500)),
    _picture("jpeg-0-high", 422, "image_too_small", pictures.jpeg_of_claimed_size(60, 0)),
    _picture("webp-16384-squared", 422, "image_too_large", pictures.webp_of_claimed_size(16_384, 16_384)),
    _picture("webp-larger-than-it-is", 422, "image_invalid", pictures.webp_of_claimed_size(4096, 4096)),
    _picture("one-side-over", 422, "image_too_large", pictures.bomb(4097, 20)),
    _picture("one-side-under", 422, "image_too_small", pictures.png(15, 64)),
    _picture("one-pixel", 422, "image_too_small", pictures.jpeg(1, 1)),
    _picture("apng", 422, "image_animated", pictures.animated("PNG")),
    _picture("animated-webp", 422, "image_animated", pictures.animated("WEBP")),
    _picture("over-8-mb", 413, "body_too_large", GOOD_PNG + bytes(_MAX_BYTES + 1)),
]

_LONG = bytes(50_000_000)
# Tags of an EXIF block, each of which claims four thousand million texts.
_TAGS = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x010E, 2, 2**32 - 1, 8) * 65_535


def _jpeg_tags(content: bytes) -> bytes:
    good = pictures.jpeg()
    return good[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 8) + b"Exif\0\0" + content + good[2:]


# Good files that cost more, or try to do more, than others.
HARMLESS = {
    "largest": pictures.bomb(4096, 4096),
    "png-text-bomb": pictures.with_chunk(GOOD_PNG, b"zTXt", b"Comment\0\0" + zlib.compress(_LONG)),
    "png-profile-bomb": pictures.with_chunk(GOOD_PNG, b"iCCP", b"icc\0\0" + zlib.compress(_LONG)),
    "png-tags-bomb": pictures.with_chunk(GOOD_PNG, b"eXIf", _TAGS),
    "jpeg-tags-bomb": _jpeg_tags(_TAGS[:60_000]),
    "jpeg-and-zip": pictures.jpeg() + b"PK\x03\x04" + bytes(40),
    "png-and-script": GOOD_PNG + b"<script>alert(1)</script>",
    "jpeg-junk-between-segments": pictures.jpeg()[:20] + b"\0\0" + pictures.jpeg()[20:],
}


def harmless_form(name: str) -> dict:
    return as_form(part("source", HARMLESS[name]), JSON_POSE)
