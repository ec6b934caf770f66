"""Picture files for the tests of the edge, good and bad, made here from nothing."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def image(width: int = 60, height: int = 80, seed: int = 0) -> Image.Image:
    """Blurred noise: every part of the file carries something."""
    noise = np.random.default_rng(seed).integers(0, 255, (12, 9, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height))


def encoded(picture: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def png(width: int = 60, height: int = 80, seed: int = 0) -> bytes:
    return encoded(image(width, height, seed), "PNG")


def jpeg(width: int = 60, height: int = 80) -> bytes:
    return encoded(image(width, height), "JPEG")


def webp(width: int = 60, height: int = 80) -> bytes:
    return encoded(image(width, height), "WEBP")


def animated(name: str) -> bytes:
    return encoded(image(), name, save_all=True, append_images=[image(seed=1), image(seed=2)])


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """One PNG chunk with a right checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header_only(width: int, height: int) -> bytes:
    """A complete little PNG whose header claims another size than its pixels have."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG_SIGNATURE + header + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND")


def bomb(width: int, height: int) -> bytes:
    """A valid PNG of this size in a few kB: it inflates to width x height pixels."""
    rows = zlib.compressobj(9)
    row = b"\0" * (width // 8 + 2)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return PNG_SIGNATURE + header + chunk(b"IDAT", data) + chunk(b"IEND")


def jpeg_of_claimed_size(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    content = bytearray(jpeg())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def jpeg_of_two_sizes(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    """A JPEG with one frame header before another: decoders differ in which one they believe."""
    frames = [jpeg_of_claimed_size(*size) for size in (first, second)]
    start = frames[0].index(b"\xff\xc0")
    end = start + 2 + int.from_bytes(frames[0][start + 2 : start + 4])
    return frames[0][:end] + frames[1][start:]


def webp_of_claimed_size(width: int, height: int) -> bytes:
    """An extended WebP that is nothing but a header with this canvas."""
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", len(canvas)) + canvas + webp()[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_chunk(content: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk right behind its header."""
    return content[:33] + chunk(kind, data) + content[33:]


def many_scans(width: int, height: int, num_scans: int) -> bytes:
    """A progressive JPEG that says its last refinement, of no effect, again and again: small, and slow to decode."""
    content = encoded(Image.new("L", (width, height), 90), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    return content[:last] + scan * num_scans + content[-2:]
