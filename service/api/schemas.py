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

from service.api.pose_documents import as_pose
from service.api.strict_json import escape
from service.domain.errors import FieldIssue, RequestError
from service.domain.job import MAX_DEADLINE_SECONDS, MAX_RETENTION_SECONDS, MIN_RETENTION_SECONDS, Priority
from service.domain.pose import MAX_FRAME_PX
from service.domain.pose_moves import DEFAULT_MARGIN, MAX_MARGIN, MAX_SCALE, MAX_SHIFT_PX, MIN_SCALE
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
# A pose is given in one of these forms. The first of them tell key points, and of these all but names have a frame.
_FORMS_WITH_FRAME = ("keypoints", "openpose", "coco17", "deepfashion")
_FORMS_BY_POINTS = (*_FORMS_WITH_FRAME, "preset")
_FORMS = (*_FORMS_BY_POINTS, "between", "skeleton")
_NO_POINTS = frozenset({"between", "skeleton", "photo", "id"})
MOVES = ("mirror", "fit", "scale", "shift")
"""What can be done to a pose, in the order in which it is."""
MAX_STRIP = 100
_MAX_ISSUES = 20
# Far more than a row of 36 coordinates and a file's name has.
_MAX_ROW = 4000
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


def _fit(value: object) -> object:
    """True and false are the short forms of an object and of none."""
    if value is None or isinstance(value, bool):
        return {"margin": DEFAULT_MARGIN} if value else None
    if not isinstance(value, dict):
        raise PydanticCustomError("fit", "must be true, false or an object with a margin")
    return value  # pyright: ignore[reportUnknownVariableType]


def _row(value: object) -> object:
    """An object or a short text: an error names the field and not one of its two types."""
    if value is None or isinstance(value, dict) or (isinstance(value, str) and len(value) <= _MAX_ROW):
        return value  # pyright: ignore[reportUnknownVariableType]
    detail = f"must be an object with keypoints_y and keypoints_x, or a row of text of at most {_MAX_ROW} characters"
    raise PydanticCustomError("row", detail)  # pyright: ignore[reportArgumentType]


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
Shift = Annotated[float, Field(allow_inf_nan=False, ge=-MAX_SHIFT_PX, le=MAX_SHIFT_PX)]
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


class FitBody(Body):
    """How much of the frame is left free around a pose."""

    margin: float = Field(
        default=DEFAULT_MARGIN, ge=0, le=MAX_MARGIN, allow_inf_nan=False, description="Share of its sides, at each end"
    )


class PointsBody(Body):
    """A pose by its key points: 18 of them with their frame, a name, or a document of another tool.

    What OpenPose writes and an annotation of COCO may also stand in its place as they are.
    """

    model_config = _one_of("keypoints", "preset", "openpose", "coco17", "deepfashion")

    keypoints: Annotated[
        list[Any] | None,
        WithJsonSchema({"type": "array", "items": _POINT_SCHEMA, "minItems": 18, "maxItems": 18}),
        Field(description="OpenPose COCO-18 order; [x, y], [x, y, score] or null; missing: null, [-1, -1] or score 0"),
    ] = None
    size: Annotated[list[FrameSide], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="Width and height of the key points' frame, px; required with keypoints and coco17",
    )
    origin: Annotated[list[Pixels], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="Left and top of that frame, px; [0, 0] if absent"
    )
    preset: str | None = Field(default=None, max_length=64, description="A name of `GET /v1/poses/presets`")
    openpose: dict[str, Any] | None = Field(
        default=None,
        description="A document of OpenPose, 18 or 25 points, with one person; its frame is `size`, else its canvas",
    )
    coco17: Annotated[
        list[Any] | None,
        WithJsonSchema({"type": "array", "minItems": 17, "maxItems": 51}),
        Field(description="`keypoints` of a COCO annotation, 51 numbers; or 17 rows [x, y], [x, y, score] or null"),
    ] = None
    deepfashion: Annotated[
        Any,
        BeforeValidator(_row),
        WithJsonSchema({"type": ["object", "string"]}),
        Field(
            description="`keypoints_y` and `keypoints_x`, or the row `name:[y, ...]:[x, ...]`; its frame is [176, 256] "
            "at [40, 0] if there is no `size`"
        ),
    ] = None
    mirror: bool = Field(default=False, description="Left and right swapped; the moves happen in this order")
    fit: Annotated[
        FitBody | None,
        BeforeValidator(_fit),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, FitBody.model_json_schema()], "default": False}),
        Field(description=f"All seen points in the middle of the frame; `true`: with a margin of {DEFAULT_MARGIN}"),
    ] = None
    scale: float = Field(
        default=1, ge=MIN_SCALE, le=MAX_SCALE, allow_inf_nan=False, description="About the middle of the pose"
    )
    shift: Annotated[list[Shift], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="To the right and down, px of the 256 px frame"
    )


class WayBody(Body):
    """Two poses, both by their key points."""

    start: PointsBody = Field(alias="from")
    to: PointsBody


class BetweenBody(WayBody):
    """A pose on the way from one to another."""

    at: float = Field(ge=0, le=1, allow_inf_nan=False, description="0 is the first of them, 1 the other")


class StripBody(WayBody):
    """All poses of a way."""

    count: Annotated[int, Field(ge=2, le=MAX_STRIP), WHOLE] = Field(
        description="At equal distances, both ends included"
    )


class PoseFormsBody(PointsBody):
    """A pose: by its key points, between two such poses, or a skeleton picture."""

    model_config = _one_of("keypoints", "preset", "openpose", "coco17", "deepfashion", "between", "skeleton")

    between: BetweenBody | None = Field(default=None, description="A body's way from one pose to another")
    skeleton: PictureBody | None = Field(default=None, description="A drawn skeleton, stretched to 256 x 256")


class PoseBody(PoseFormsBody):
    """The pose: in one of these forms, or one that was uploaded before."""

    model_config = _one_of("keypoints", "preset", "openpose", "coco17", "deepfashion", "between", "skeleton", "id")

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
    body = validated(GenerationBody, _arranged(fields, "pose"))
    _check_forms("/source", body.source, ("data", "id"))
    _check_pose(body.pose, (*_FORMS, "id"))
    if body.seed is not None and body.seed + body.num_images - 1 > MAX_SEED:
        largest = MAX_SEED + 1 - body.num_images
        raise _invalid([FieldIssue("/seed", f"must be at most {largest} with {body.num_images} pictures")])
    return body


def check_source_upload(fields: dict[str, Any]) -> PictureBody:
    """Check the field `source`, which must be the only one; raises as `check_body`."""
    return validated(SourceUpload, fields).source


def check_pose_upload(fields: dict[str, Any]) -> PoseFormsBody:
    """Check the field `pose`, which must be the only one; raises as `check_body`."""
    pose = validated(PoseUpload, _arranged(fields, "pose")).pose
    _check_pose(pose, _FORMS)
    return pose


def check_strip(fields: dict[str, Any]) -> StripBody:
    """Check two poses and how many there are to be; raises as `check_body`."""
    strip = validated(StripBody, _arranged(fields, "from", "to"))
    _check_way(strip, "")
    return strip


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


def _arranged(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """These of the fields, which are poses, may be other tools' documents."""
    return fields | {name: as_pose(fields[name]) for name in names if name in fields}


def _check_pose(pose: PoseFormsBody, forms: Sequence[str]) -> None:
    _check_forms("/pose", pose, forms)
    _check_points(pose, "/pose")
    if pose.between is not None:
        _check_way(pose.between, "/pose/between")
    if pose.skeleton is not None:
        _check_unmoved(pose, "move the picture itself, or send its key points")
    if isinstance(pose, PoseBody) and pose.id is not None:
        _check_unmoved(pose, "send those that `GET /v1/poses/{id}` tells of the pose")


def _check_way(way: WayBody, pointer: str) -> None:
    for name, pose in (("from", way.start), ("to", way.to)):
        _check_forms(f"{pointer}/{name}", pose, _FORMS_BY_POINTS)
        _check_points(pose, f"{pointer}/{name}")


def _check_points(pose: PointsBody, pointer: str) -> None:
    """What holds of the forms by key points; any other one has no frame of its own."""
    for form in ("keypoints", "coco17"):
        if getattr(pose, form) is not None and pose.size is None:
            raise _invalid([FieldIssue(f"{pointer}/size", f"is required with {form}")])
    has_frame = any(getattr(pose, form) is not None for form in _FORMS_WITH_FRAME)
    if not has_frame and (pose.size is not None or pose.origin is not None):
        listed = f"{', '.join(_FORMS_WITH_FRAME[:-1])} and {_FORMS_WITH_FRAME[-1]}"
        raise _invalid([FieldIssue(pointer, f"size and origin go with {listed} only")])
    if pose.preset is not None and pose.preset not in PRESETS:
        detail = f"must be one of {', '.join(PRESETS)}"
        raise RequestError.of_field("unknown_preset", f"{pointer}/preset", detail)


def _check_unmoved(pose: PointsBody, advice: str) -> None:
    for name in MOVES:
        if getattr(pose, name) != PointsBody.model_fields[name].default:
            raise _invalid([FieldIssue(f"/pose/{name}", f"goes with key points: {advice}")])


def _invalid(issues: Sequence[FieldIssue]) -> RequestError:
    first = issues[0]
    return RequestError("validation", f"{first.pointer or 'the body'} {first.detail}", tuple(issues))


def _issue(details: ErrorDetails) -> FieldIssue:
    location, message = details["loc"], details["msg"]
    if location[-1:] == ("[key]",):
        location, message = location[:-2], "each key: " + message
    pointer = "".join(f"/{escape(str(part)[:_MAX_POINTER_PART])}" for part in location)
    if details["type"] == "extra_forbidden" and location[-2:-1] in (("from",), ("to",)) and location[-1] in _NO_POINTS:
        return FieldIssue(pointer, "can't be here: name a preset, or send key points")
    if details["type"] == "extra_forbidden":
        known = "is not available in this version" if pointer in LATER_FIELDS else "is not a field of this request"
        return FieldIssue(pointer, known)
    if details["type"] == "missing":
        return FieldIssue(pointer, "is required")
    return FieldIssue(pointer, _PYDANTIC_SUBJECT.sub("must", message))
