"""A picture file becomes 256 x 256 pixels, or a refusal that says why; the order of the checks is the defence.

Bytes, then type, then header, then pixels: nothing large is allocated for a file that is refused, and no decoder sees
it. The decoding is a PictureDecoder's, the resizing the model's (`xmdpt.preprocess`).
"""

from collections.abc import Callable, Mapping

from service.api.limits import UploadLimits
from service.api.picture_headers import (
    BrokenPictureError,
    PictureHeader,
    picture_format,
    read_jpeg,
    read_png,
    read_webp,
)
from service.domain.errors import RequestError
from service.domain.person import Frame, PersonInPhoto
from service.gateway.persons import Persons
from service.ports.pictures import DecodedPicture, PictureDecoder, PictureFormat

_HEADER_READERS: Mapping[PictureFormat, Callable[[bytes], PictureHeader]] = {
    "PNG": read_png,
    "JPEG": read_jpeg,
    "WEBP": read_webp,
}


def decode_picture(
    content: bytes, limits: UploadLimits, pointer: str, decoder: PictureDecoder, frame: Frame | None = None
) -> DecodedPicture:
    """Decode a photo, or a skeleton picture: both are prepared alike.

    Args:
        content: PNG, JPEG or WebP file.
        limits: what is accepted.
        pointer: of the field, for errors.
        decoder: gets what has passed all other checks.
        frame: the part of the picture that is wanted; None for all of it.

    Raises:
        RequestError: `body_too_large`, `image_type`, `image_too_large`, `image_too_small`, `image_animated` or
            `image_invalid`.
        OverloadedError: `overloaded`, from the decoder.
    """
    name, header = _checked(content, limits, pointer)
    try:
        return decoder.decode(header.content, name, (header.width, header.height), frame)
    except RequestError as error:
        raise RequestError.of_field(error.code, pointer, error.detail) from None


def find_person(content: bytes, limits: UploadLimits, pointer: str, persons: Persons) -> PersonInPhoto:
    """Find the one person in a photo; arguments and errors as those of `decode_picture`.

    Raises:
        RequestError: also `no_person`, `several_persons`, `person_too_small` or `person_out_of_frame`.
    """
    name, header = _checked(content, limits, pointer)
    try:
        return persons.find(header.content, name, (header.width, header.height))
    except RequestError as error:
        raise RequestError.of_field(error.code, pointer, error.detail) from None


def _checked(content: bytes, limits: UploadLimits, pointer: str) -> tuple[PictureFormat, PictureHeader]:
    """Everything that can be said of a file without decoding it."""
    if len(content) > limits.max_picture_bytes:
        detail = f"may have {limits.max_picture_bytes} bytes, not {len(content)}"
        raise RequestError.of_field("body_too_large", pointer, detail)
    name = picture_format(content)
    if name is None:
        raise RequestError.of_field("image_type", pointer, "must be a PNG, JPEG or WebP file")
    try:
        header = _HEADER_READERS[name](content)
    except BrokenPictureError as error:
        raise RequestError.of_field("image_invalid", pointer, str(error)) from None
    if header.is_animated:
        raise RequestError.of_field("image_animated", pointer, "must have one frame, not an animation")
    _check_size(header.width, header.height, limits, pointer)
    return name, header


def _check_size(width: int, height: int, limits: UploadLimits, pointer: str) -> None:
    if max(width, height) > limits.max_side_px or width * height > limits.max_pixels:
        detail = f"may have {limits.max_side_px} px a side and {limits.max_pixels} pixels in all"
        raise RequestError.of_field("image_too_large", pointer, detail)
    if min(width, height) < limits.min_side_px:
        detail = f"must have at least {limits.min_side_px} px a side, not {width} x {height}"
        raise RequestError.of_field("image_too_small", pointer, detail)
