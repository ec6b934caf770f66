"""What the edge accepts at most, as plain values; `service.bootstrap` fills them from the settings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UploadLimits:
    """Sizes of what is sent.

    Attributes:
        max_body_bytes: whole request body.
        max_json_bytes: JSON without its base64 `data` texts; also one text field of a form.
        max_picture_bytes: one picture file, after base64.
        min_side_px: shortest side of a picture.
        max_side_px: longest side of a picture.
        max_pixels: width times height of a picture.
    """

    max_body_bytes: int = 12_000_000
    max_json_bytes: int = 256_000
    max_picture_bytes: int = 8_000_000
    min_side_px: int = 16
    max_side_px: int = 4096
    max_pixels: int = 16_800_000


@dataclass(frozen=True)
class WaitLimits:
    """How long a call may wait for its job, in seconds.

    Attributes:
        default_seconds: for `POST /v1/generate` without `Prefer`.
        max_seconds: a longer `wait` is ignored.
    """

    default_seconds: int = 20
    max_seconds: int = 60
