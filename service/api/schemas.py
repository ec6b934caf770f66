"""The request body as pydantic models: which fields there are, and their ranges.

The same models check JSON and forms and document both. They decode no pictures (`service.api.uploads`) and hold no
rules that need more than one look at a field (`service.domain.pose`).
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from service.api.strict_json import escape
from service.domain.errors import FieldIssue, RequestError
from service.domain.job import MAX_DEADLINE_SECONDS, MAX_RETENTION_SECONDS, MIN_RETENTION_SECONDS, Priority
from service.domain.pose import MAX_FRAME_PX
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
from service.gateway.pose_presets import PRESETS

# Part of the contract but not of this version: naming them is kinder than "unknown".
LATER_FIELDS = frozenset(
    {
        "/source/url", "/pose/photo",
    }
)  # fmt: skip
_MAX_ISSUES = 20
# The longest name of a field has 40 characters; of a longer one this much tells which it is.
_MAX_POINTER_PART = 64
_PYDANTIC_SUBJECT = re.compile(r"\b(Input|Value|String|List|Dictionary) should")
_MIN_DEADLINE_MS, _MAX_DEADLINE_MS = 100, int(MAX_DEADLINE_SECONDS * 1000)


def _decode_base64(value: object) -> object:
    """Text becomes bytes; the bytes of a form's file pass as they are."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "must be standard base64 (RFC 4648, section 4, with padding)") from None


def _whole(value: object) -> object:
    """A number without a fraction is an integer, as JSON Schema has it, however it is written."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""After the range in an `Annotated`, so that the range is described too."""
PictureFile = Annotated[
    bytes,
    BeforeValidator(_decode_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "PNG, JPEG or WebP file"}),
]
Pixels = Annotated[float, Field(allow_inf_nan=False, ge=-MAX_FRAME_PX, le=MAX_FRAME_PX)]
FrameSide = Annotated[float, Field(allow_inf_nan=False, ge=1, le=MAX_FRAME_PX)]
_MAX_METADATA_KEYS = 16
MetadataKey = Annotated[str, Field(min_length=1, max_length=40)]
MetadataText = Annotated[str, Field(max_length=500)]
Metadata = Annotated[dict[MetadataKey, MetadataText], Field(max_length=_MAX_METADATA_KEYS)]
_POINT_SCHEMA = {
    "anyOf": [
        {"type": "null"},
        {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2, "maxItems": 3},
    ]
}


class Body(BaseModel):
    """What a client sends: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_AnyBody = TypeVar("_AnyBody", bound=Body)


class PictureBody(Body):
    """A picture file inside of JSON."""

    data: PictureFile


def _one_of(*names: str) -> ConfigDict:
    """For the description: exactly one of these fields is there."""
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in names]})


class SourceBody(Body):
    """The photo: either a file, or one that was uploaded before."""

    model_config = _one_of("data", "id")

    data: PictureFile | None = None
    id: str | None = Field(default=None, description="Of `POST /v1/sources`")


class PoseFormsBody(Body):
    """A pose: either 18 key points with their frame, or a skeleton picture, or a name."""

    model_config = _one_of("keypoints", "skeleton", "preset")

    keypoints: Annotated[
        list[Any] | None,
        WithJsonSchema({"type": "array", "items": _POINT_SCHEMA, "minItems": 18, "maxItems": 18}),
        Field(description="OpenPose COCO-18 order; [x, y], [x, y, score] or null; missing: null, [-1, -1] or score 0"),
    ] = None
    size: Annotated[list[FrameSide], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="Width and height of the key points' frame, px; required with keypoints"
    )
    origin: Annotated[list[Pixels], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="Left and top of that frame, px; [0, 0] if absent"
    )
    skeleton: PictureBody | None = Field(default=None, description="A drawn skeleton, stretched to 256 x 256")
    preset: str | None = Field(default=None, max_length=64, description="A name of `GET /v1/poses/presets`")


class PoseBody(PoseFormsBody):
    """The pose: in one of these forms, or one that was uploaded before."""

    model_config = _one_of("keypoints", "skeleton", "preset", "id")

    id: str | None = Field(default=None, description="Of `POST /v1/poses`")


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
    steps: Annotated[int, Field(ge=MIN_STEPS, le=MAX_STEPS), WHOLE] = Field(
        DEFAULT_STEPS, description="Denoising steps"
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


class SourceUpload(Body):
    """What `POST /v1/sources` takes, under the name that it has in a form."""

    source: PictureBody


class PoseUpload(Body):
    """Likewise of `POST /v1/poses`."""

    pose: PoseFormsBody


def check_body(fields: dict[str, Any]) -> GenerationBody:
    """Check fields, be they from JSON or from a form.

    Raises:
        RequestError: `validation` with a pointer for each field at fault, at most 20; `unknown_preset`.
    """
    body = validated(GenerationBody, fields)
    _check_forms("/source", body.source, ("data", "id"))
    _check_pose(body.pose, ("keypoints", "skeleton", "preset", "id"))
    if body.seed is not None and body.seed + body.num_images - 1 > MAX_SEED:
        largest = MAX_SEED + 1 - body.num_images
        raise _invalid([FieldIssue("/seed", f"must be at most {largest} with {body.num_images} pictures")])
    return body


def check_source_upload(fields: dict[str, Any]) -> PictureBody:
    """Check the field `source`, which must be the only one; raises as `check_body`."""
    return validated(SourceUpload, fields).source


def check_pose_upload(fields: dict[str, Any]) -> PoseFormsBody:
    """Check the field `pose`, which must be the only one; raises as `check_body`."""
    pose = validated(PoseUpload, fields).pose
    _check_pose(pose, ("keypoints", "skeleton", "preset"))
    return pose


def validated(model: type[_AnyBody], fields: dict[str, Any]) -> _AnyBody:
    """The fields as this model; RequestError `validation` with a pointer for each at fault, at most 20."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        issues = tuple(_issue(details) for details in error.errors(include_url=False)[:_MAX_ISSUES])
        raise _invalid(issues) from None


def _check_forms(pointer: str, body: Body, names: Sequence[str]) -> None:
    if sum(getattr(body, name) is not None for name in names) != 1:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise _invalid([FieldIssue(pointer, f"must hold exactly one of {listed}")])


def _check_pose(pose: PoseFormsBody, forms: Sequence[str]) -> None:
    _check_forms("/pose", pose, forms)
    if pose.keypoints is not None and pose.size is None:
        raise _invalid([FieldIssue("/pose/size", "is required with keypoints")])
    if pose.keypoints is None and (pose.size is not None or pose.origin is not None):
        raise _invalid([FieldIssue("/pose", "size and origin go with keypoints only")])
    if pose.preset is not None and pose.preset not in PRESETS:
        raise RequestError.of_field("unknown_preset", "/pose/preset", f"must be one of {', '.join(PRESETS)}")


def _invalid(issues: Sequence[FieldIssue]) -> RequestError:
    first = issues[0]
    return RequestError("validation", f"{first.pointer or 'the body'} {first.detail}", tuple(issues))


def _issue(details: ErrorDetails) -> FieldIssue:
    location, message = details["loc"], details["msg"]
    if location[-1:] == ("[key]",):
        location, message = location[:-2], "each key: " + message
    pointer = "".join(f"/{escape(str(part)[:_MAX_POINTER_PART])}" for part in location)
    if details["type"] == "extra_forbidden":
        known = "is not available in this version" if pointer in LATER_FIELDS else "is not a field of this request"
        return FieldIssue(pointer, known)
    if details["type"] == "missing":
        return FieldIssue(pointer, "is required")
    return FieldIssue(pointer, _PYDANTIC_SUBJECT.sub("must", message))
