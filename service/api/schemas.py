"""The request body as pydantic models: which fields there are, and their ranges.

The same models check JSON and forms and document both. They decode no pictures (`service.api.uploads`) and hold no
rules that need more than one look at a field (`service.domain.pose`). The pose is `service.api.pose_schemas`'.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from service.api.body import WHOLE, Body, PictureBody, PictureFile, check_forms, invalid, one_of, validated
from service.api.pose_schemas import PoseBody, arranged, check_pose
from service.domain.errors import FieldIssue
from service.domain.job import MAX_DEADLINE_SECONDS, MAX_RETENTION_SECONDS, MIN_RETENTION_SECONDS, Priority
from service.domain.request import (
    DEFAULT_GUIDANCE,
    DEFAULT_QUALITY,
    DEFAULT_STEPS,
    MAX_GUIDANCE,
    MAX_IMAGES,
    MAX_PREVIEW_EVERY_STEPS,
    MAX_SEED,
    MAX_STEPS,
    MAX_WIDTH_PX,
    MIN_GUIDANCE,
    MIN_STEPS,
    ImageFormat,
    Sampler,
)
from service.domain.webhook import DEFAULT_EVENTS, MAX_URL_LENGTH, WebhookEvent
from xmdpt.presets import PRESETS, Preset

_MIN_DEADLINE_MS, _MAX_DEADLINE_MS = 100, int(MAX_DEADLINE_SECONDS * 1000)
_MAX_METADATA_KEYS = 16
MetadataKey = Annotated[str, Field(min_length=1, max_length=40)]
MetadataText = Annotated[str, Field(max_length=500)]
Metadata = Annotated[dict[MetadataKey, MetadataText], Field(max_length=_MAX_METADATA_KEYS)]
Crop = Annotated[
    Literal["none", "person"],
    Field(
        description="`person`: what is stretched to the square is not all of the photo but a frame of the aspect "
        "176:256 around the person, whom it finds"
    ),
]


class SourcePhotoBody(PictureBody):
    """A photo, or the frame around the person in it."""

    crop: Crop = "none"


class SourceBody(Body):
    """The photo: either a file, or one that was uploaded before."""

    model_config = one_of("data", "id")

    data: PictureFile | None = None
    crop: Crop = "none"
    id: str | None = Field(default=None, description="Of `POST /v1/sources`")


class OutputBody(Body):
    """How the result is written."""

    format: Annotated[ImageFormat, Field(strict=False)] | None = Field(
        default=None, description="If absent: what `Accept` prefers on generate, else png"
    )
    quality: Annotated[int, Field(ge=1, le=100), WHOLE] | None = Field(
        default=None, description=f"Of jpeg and webp; {DEFAULT_QUALITY} if absent"
    )
    delivery: Literal["url", "base64"] = Field(
        default="url", description="`base64`: the job object holds the file, as `outputs[].data`"
    )
    fit: Literal["model", "source"] = Field(
        default="model",
        description=f"`model`: 256 x 256 as generated; `source`: resized to the photo's aspect at height 256, at most "
        f"{MAX_WIDTH_PX} px wide",
    )


class PreviewBody(Body):
    """Small pictures of what is to come."""

    every_steps: Annotated[int, Field(ge=0, le=MAX_PREVIEW_EVERY_STEPS), WHOLE] = Field(
        default=0,
        description="One each so many steps, as `GET .../preview`; 0 for none",
    )


class WebhookBody(Body):
    """Who is to be told what of the job."""

    url: str = Field(
        description="`https://` on port 443 or 8443, to a host with public addresses only",
        json_schema_extra={"maxLength": MAX_URL_LENGTH, "format": "uri"},
    )
    events: list[Annotated[WebhookEvent, Field(strict=False)]] = Field(
        default=list(DEFAULT_EVENTS), min_length=1, max_length=len(WebhookEvent), description="What is told"
    )


class GenerationBody(Body):
    """What is asked for of one photo and one pose."""

    source: SourceBody
    pose: PoseBody
    model: str | None = Field(
        default=None, max_length=64, description="A name of `GET /v1/models`; the served one if absent"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), WHOLE] | None = Field(
        default=None, description="Drawn by the server if absent, and returned"
    )
    num_images: Annotated[int, Field(ge=1, le=MAX_IMAGES), WHOLE] = Field(
        1, description="Picture i is drawn from seed + i, which may be 2^53 - 1 at most"
    )
    preset: Annotated[Preset, Field(strict=False)] = Field(
        default=Preset.EXACT,
        description="`exact`: the model's own precision; `fast`: the same steps in low precision, and the decoding "
        "where there is a graph for it; `draft`: fewer steps, in low precision where the model has it. A number of "
        "steps beside it comes first. `GET /v1/models` tells what each costs",
    )
    steps: Annotated[int, Field(ge=MIN_STEPS, le=MAX_STEPS), WHOLE] | None = Field(
        default=None,
        description="Denoising steps; if absent or null "
        f"{DEFAULT_STEPS}, with the preset `draft` {PRESETS[Preset.DRAFT].num_steps}",
    )
    guidance: float = Field(
        DEFAULT_GUIDANCE, ge=MIN_GUIDANCE, le=MAX_GUIDANCE, allow_inf_nan=False, description="1 is no guidance"
    )
    sampler: Annotated[Sampler, Field(strict=False)] = Sampler.DDIM
    output: OutputBody = OutputBody()
    preview: PreviewBody = PreviewBody()
    priority: Annotated[Priority, Field(strict=False)] = Priority.INTERACTIVE
    deadline_ms: Annotated[int, Field(ge=_MIN_DEADLINE_MS, le=_MAX_DEADLINE_MS), WHOLE] = Field(
        _MAX_DEADLINE_MS,
        description="From acceptance to the end, waiting included; then the job fails with `deadline_exceeded`",
    )
    retention_s: Annotated[int, Field(ge=MIN_RETENTION_SECONDS, le=MAX_RETENTION_SECONDS), WHOLE] | None = Field(
        default=None,
        description="How long the picture is kept after the end; as the deployment has it if absent",
    )
    metadata: Metadata = Field(default={}, description="Notes of yours, returned in the job object")
    webhook: WebhookBody | None = Field(default=None, description="Calls to an address of yours; see docs/webhooks.md")

    @property
    def num_steps(self) -> int:
        """Of the request itself, else of its preset."""
        return PRESETS[self.preset].num_steps if self.steps is None else self.steps


class SourceUpload(Body):
    """What `POST /v1/sources` takes, under the name that it has in a form."""

    source: SourcePhotoBody


def check_body(fields: dict[str, Any]) -> GenerationBody:
    """Check fields, be they from JSON or from a form.

    Raises:
        RequestError: `validation` with a pointer for each field at fault, at most 20; `unknown_preset`.
    """
    body = validated(GenerationBody, arranged(fields, "pose"))
    check_forms("/source", body.source, ("data", "id"))
    if body.source.id is not None and body.source.crop != "none":
        raise invalid([FieldIssue("/source/crop", "goes with data: a kept photo was cropped when it was uploaded")])
    check_pose(body.pose)
    if body.seed is not None and body.seed + body.num_images - 1 > MAX_SEED:
        largest = MAX_SEED + 1 - body.num_images
        raise invalid([FieldIssue("/seed", f"must be at most {largest} with {body.num_images} pictures")])
    return body


def check_source_upload(fields: dict[str, Any]) -> SourcePhotoBody:
    """Check the field `source`, which must be the only one; raises as `check_body`."""
    return validated(SourceUpload, fields).source
