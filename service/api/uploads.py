"""A picture file becomes 256 x 256 pixels, or a refusal that says why; the order of the checks is the defence.

Bytes, then type, then header, then pixels: nothing large is allocated for a file that is refused. The resizing itself
is the model's (`xmdpt.preprocess`, `xmdpt.skeleton`).
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.api.limits import UploadLimits
from service.api.picture_headers import BrokenPictureError, PictureHeader, picture_format, read_png, read_webp
from service.domain.errors import RequestError
from xmdpt.preprocess import to_photo, upright_size
from xmdpt.skeleton import to_skeleton

_HEADER_READERS: dict[str, Callable[[bytes], PictureHeader]] = {"PNG": read_png, "WEBP": read_webp}
# What Pillow's decoders raise on damaged files, besides OSError.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    struct.error,
)

# Pillow only warns between one and two times its own limit of pixels; for a server that is an error.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class DecodedPicture:
    """A picture as the model takes it, and the size that it came in.

    Attributes:
        pixels: uint8 [256,256,3] RGB as 196,608 bytes.
        width_px: of the file's picture, upright; likewise height_px.
    """

    pixels: bytes
    width_px: int
    height_px: int


def decode_photo(content: bytes, limits: UploadLimits, pointer: str) -> DecodedPicture:
    """Decode the person's picture.

    Args:
        content: PNG, JPEG or WebP file.
        limits: what is accepted.
        pointer: of the field, for errors.

    Raises:
        RequestError: `body_too_large`, `image_type`, `image_too_large`, `image_too_small`, `image_animated` or
            `image_invalid`.
    """
    return _decode(content, limits, pointer, to_photo)


def decode_skeleton(content: bytes, limits: UploadLimits, pointer: str) -> bytes:
    """Decode a skeleton picture to uint8 [256,256,3] RGB as bytes; arguments and errors as those of `decode_photo`."""
    return _decode(content, limits, pointer, to_skeleton).pixels


def _decode(
    content: bytes, limits: UploadLimits, pointer: str, to_pixels: Callable[[Image.Image], NDArray[np.uint8]]
) -> DecodedPicture:
    if len(content) > limits.max_picture_bytes:
        detail = f"may have {limits.max_picture_bytes} bytes, not {len(content)}"
        raise RequestError.of_field("body_too_large", pointer, detail)
    name = picture_format(content)
    if name is None:
        raise RequestError.of_field("image_type", pointer, "must be a PNG, JPEG or WebP file")
    with _decoder_errors(limits, pointer):
        if name in _HEADER_READERS:
            header = _HEADER_READERS[name](content)
            if header.is_animated:
                raise RequestError.of_field("image_animated", pointer, "must have one frame, not an animation")
            _check_size(header.width, header.height, limits, pointer)
            content = header.content
        with Image.open(io.BytesIO(content), formats=[name]) as image:
            _check_size(image.width, image.height, limits, pointer)
            return DecodedPicture(to_pixels(image).tobytes(), *upright_size(image))


@contextmanager
def _decoder_errors(limits: UploadLimits, pointer: str) -> Iterator[None]:
    try:
        yield
    except BrokenPictureError as error:
        raise RequestError.of_field("image_invalid", pointer, str(error)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(limits, pointer) from None
    except _DECODER_ERRORS:
        raise RequestError.of_field("image_invalid", pointer, "the picture is damaged or cut off") from None


def _check_size(width: int, height: int, limits: UploadLimits, pointer: str) -> None:
    if max(width, height) > limits.max_side_px or width * height > limits.max_pixels:
        raise _too_large(limits, pointer)
    if min(width, height) < limits.min_side_px:
        detail = f"must have at least {limits.min_side_px} px a side, not {width} x {height}"
        raise RequestError.of_field("image_too_small", pointer, detail)


def _too_large(limits: UploadLimits, pointer: str) -> RequestError:
    detail = f"may have {limits.max_side_px} px a side and {limits.max_pixels} pixels in all"
    return RequestError.of_field("image_too_large", pointer, detail)
