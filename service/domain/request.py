"""What a client may ask for, once it has been checked: frozen values.

It does not parse or check bodies (`service.api.schemas`), and it holds no pixels, only their digests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.pose import KeyPoints
from service.domain.stored_form import LATER
from xmdpt.presets import PRESETS, Preset
from xmdpt.spec import IMAGE_SIZE

MAX_SEED = 2**53 - 1
MAX_IMAGES = 8
MIN_STEPS, MAX_STEPS, DEFAULT_STEPS = 2, 250, PRESETS[Preset.EXACT].num_steps
MIN_GUIDANCE, MAX_GUIDANCE, DEFAULT_GUIDANCE = 1.0, 10.0, 2.0
DEFAULT_QUALITY = 90
MAX_PREVIEW_EVERY_STEPS = 50
MAX_WIDTH_PX = 1024


class Sampler(StrEnum):
    """The update rules a request may name; the coefficient rows are made by `xmdpt.sampler`."""

    DDIM = "ddim"
    DPMPP_2M = "dpmpp_2m"


class ImageFormat(StrEnum):
    """The file formats of a result."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def content_type(self) -> str:
        """The media type, such as `image/png`."""
        return f"image/{self.value}"


@dataclass(frozen=True)
class SamplingParams:
    """The numbers that decide the picture besides the two pictures that go in.

    Attributes:
        seed: 0 .. 2^53-1; draws the initial noise.
        num_steps: 2 .. 250 denoising steps.
        guidance: 1 .. 10, the scale of classifier-free guidance; 1 = none.
        sampler: the update rule.
        preset: decides in which precision steps are computed; what else it means is in the fields above.
    """

    seed: int
    num_steps: int = DEFAULT_STEPS
    guidance: float = DEFAULT_GUIDANCE
    sampler: Sampler = Sampler.DDIM
    preset: Preset = field(default=Preset.EXACT, metadata=LATER)


@dataclass(frozen=True)
class OutputOptions:
    """How the result is written.

    Attributes:
        format: the file format.
        quality: 1 .. 100; ignored by PNG, which is lossless.
        preview_every_steps: 0 .. 50; a small picture of what is to come each so many steps, 0 for none.
        is_inline: the job object holds the file too.
        width_px: 1 .. 1024; width of the file, whose height is 256; None for the square as it was generated.
    """

    format: ImageFormat = ImageFormat.PNG
    quality: int = DEFAULT_QUALITY
    preview_every_steps: int = 0
    is_inline: bool = False
    width_px: int | None = None


def width_of_aspect(width: int, height: int) -> int:
    """Width in px, 1 .. 1024, of a picture of height 256 with the aspect of one of this size in px."""
    return min(MAX_WIDTH_PX, max(1, round(IMAGE_SIZE * width / height)))


@dataclass(frozen=True)
class GenerationRequest:
    """One accepted request, without its pixels.

    Attributes:
        model: the variant's name.
        params: seed, steps, guidance, sampler.
        output: how to write the picture.
        source_digest: `sha256:<hex>` of the photo's 256 x 256 x 3 bytes.
        pose_digest: `sha256:<hex>` of the skeleton's 256 x 256 x 3 bytes.
        metadata: the client's own notes, which decide nothing.
        num_images: 1 .. 8; picture i is drawn from seed + i.
        found_pose: the key points that were found in a photo, if the pose was given by one; they decide nothing.
    """

    model: str
    params: SamplingParams
    output: OutputOptions
    source_digest: str
    pose_digest: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    num_images: int = 1
    found_pose: KeyPoints | None = None
