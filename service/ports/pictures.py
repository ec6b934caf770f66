"""Picture files become pixels, in a place where a file that breaks its decoder breaks nothing else."""

from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.person import Frame

PictureFormat = Literal["PNG", "JPEG", "WEBP"]


@dataclass(frozen=True)
class DecodedPicture:
    """A picture as the model takes it, and the size that it came in.

    Attributes:
        pixels: uint8 [256,256,3] RGB as 196,608 bytes.
        width_px: of the file's picture, upright, or of the frame of it that was asked for; likewise height_px.
    """

    pixels: bytes
    width_px: int
    height_px: int


class PictureDecoder(Protocol):
    """Blocking calls, for any thread.

    Attributes:
        num_at_a_time: so many pictures are decoded beside each other; further calls wait.
    """

    num_at_a_time: int

    def decode(
        self, content: bytes, name: PictureFormat, size: tuple[int, int], frame: Frame | None = None
    ) -> DecodedPicture:
        """Decode one file.

        Args:
            content: the file.
            name: what its first bytes say that it is.
            size: width and height in px that its header claims, checked against the limits.
            frame: the part of the upright picture that the square shows; None for all of it.

        Raises:
            RequestError: `image_invalid`: it is damaged, not of that size, or its decoder crashed or took too long.
            OverloadedError: `overloaded`: nothing can be decoded at present.
        """
        ...
