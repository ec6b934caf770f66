"""What a picture file says about itself, read from its bytes before any pixel is decoded.

It allocates nothing by what a file claims; decoding is up to a PictureDecoder.
"""

import re
import struct
import zlib
from dataclasses import dataclass

from service.ports.pictures import PictureFormat

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
# As many as a file of 8 MB has if it is cut into pieces of 160 bytes.
_MAX_CHUNKS = 50_000
# A marker with a segment behind it; restarts, escaped bytes and padding are passed over, as decoders do.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
# A colour profile may take 255 of them, and other data as many as fit into 8 MB.
_MAX_SEGMENTS = 1000
# Colour profiles and texts may be compressed bombs and are not used: only these reach the decoder.
_KEPT_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND"})


class BrokenPictureError(ValueError):
    """The file breaks its format's rules; the message says where."""


@dataclass(frozen=True)
class PictureHeader:
    """The facts that decide whether a file is decoded at all.

    Attributes:
        width: px.
        height: px.
        is_animated: it has more than one frame.
        content: the file, for PNG without the chunks that decoding does not need.
    """

    width: int
    height: int
    is_animated: bool
    content: bytes


def picture_format(content: bytes) -> PictureFormat | None:
    """`PNG`, `JPEG` or `WEBP` by the first bytes, else None."""
    if content.startswith(PNG_SIGNATURE):
        return "PNG"
    if content.startswith(_JPEG_START):
        return "JPEG"
    return "WEBP" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def read_png(content: bytes) -> PictureHeader:
    """Walk over all chunks of a PNG file.

    Raises:
        BrokenPictureError: a chunk is cut, has a wrong checksum or an unknown critical type; IHDR is not first, IDAT or
            IEND is missing; there are too many chunks.

    Source:
        W3C Recommendation, Portable Network Graphics (PNG) Specification (Third Edition), sections 5 and 11.
    """
    position, num_frames, kept = len(PNG_SIGNATURE), 1, [PNG_SIGNATURE]
    types: list[bytes] = []
    while not types or types[-1] != b"IEND":
        head = content[position : position + 8]
        end = position + 12 + int.from_bytes(head[:4])
        if len(head) < 8 or end > len(content):
            raise BrokenPictureError("the PNG file is cut off")
        kind, chunk = head[4:], content[position:end]
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise BrokenPictureError("a chunk of the PNG file has a wrong checksum")
        if kind == b"acTL" and len(chunk) >= 16:
            num_frames = int.from_bytes(chunk[8:12])
        if kind in _KEPT_CHUNKS:
            kept.append(chunk)
        elif not kind[0] & 0x20:
            raise BrokenPictureError("the PNG file has a critical chunk of an unknown type")
        if len(types) == _MAX_CHUNKS:
            raise BrokenPictureError(f"the PNG file has more than {_MAX_CHUNKS} chunks")
        types.append(kind)
        position = end
    if types[0] != b"IHDR" or types.count(b"IHDR") != 1 or len(kept[1]) != 25 or b"IDAT" not in types:
        raise BrokenPictureError("the PNG file does not begin with one IHDR chunk, or has no IDAT")
    width, height = struct.unpack(">II", kept[1][8:16])
    return PictureHeader(width, height, num_frames > 1, b"".join(kept))


def read_jpeg(content: bytes) -> PictureHeader:
    """Walk over the segments of a JPEG file to the one that has its size.

    Raises:
        BrokenPictureError: there is none before the pixels, or the file is cut before it.

    Source:
        ITU-T T.81, section B.1.1 and table B.1.
    """
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker = _JPEG_MARKER.search(content, position)
        if marker is None or marker.start() + 9 > len(content):
            raise BrokenPictureError("the JPEG file is cut off")
        start, kind = marker.start(), content[marker.start() + 1]
        if kind in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", content[start + 5 : start + 9])
            return PictureHeader(width, height, False, content)
        if kind in (_JPEG_SCAN, _JPEG_END):
            break
        position = start + 2 + int.from_bytes(content[start + 2 : start + 4])
    raise BrokenPictureError("the JPEG file does not say how large its picture is")


def read_webp(content: bytes) -> PictureHeader:
    """Read the first chunk of a WebP file: VP8 (lossy), VP8L (lossless) or VP8X (extended).

    Raises:
        BrokenPictureError: the file is cut, or its first chunk is none of these.

    Source:
        RFC 9649, sections 2.4 to 2.7 and 3.3; RFC 6386, section 9.1.
    """
    if len(content) < 30 or int.from_bytes(content[4:8], "little") + 8 > len(content):
        raise BrokenPictureError("the WebP file is cut off")
    kind, body = content[12:16], content[20:30]
    if kind == b"VP8X":
        width, height = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        return PictureHeader(width, height, bool(body[0] & 0x02), content)
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return PictureHeader((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, False, content)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return PictureHeader(width & 0x3FFF, height & 0x3FFF, False, content)
    raise BrokenPictureError("the WebP file begins with an unknown chunk")
