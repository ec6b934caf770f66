"""A pose in a request body: the forms that it can be given in, the moves, and the rules that need more than one field.

It decodes and detects nothing; `service.api.pose_reading` makes key points of it.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.api.body import WHOLE, Body, PictureBody, check_forms, invalid, one_of, validated
from service.api.pose_documents import as_pose
from service.domain.errors import FieldIssue, RequestError
from service.domain.person import FrameOfPose
from service.domain.pose import MAX_FRAME_PX
from service.domain.pose_moves import DEFAULT_MARGIN, MAX_MARGIN, MAX_SCALE, MAX_SHIFT_PX, MIN_SCALE
from service.gateway.pose_presets import POSE_PRESETS

# A pose is given in one of these forms. The first of them tell key points, and of these all but names have a frame.
_FORMS_WITH_FRAME = ("keypoints", "openpose", "coco17", "deepfashion")
_FORMS_BY_POINTS = (*_FORMS_WITH_FRAME, "preset")
_FORMS = (*_FORMS_BY_POINTS, "between", "skeleton", "photo")
MOVES = ("mirror", "fit", "scale", "shift")
"""What can be done to a pose, in the order in which it is."""
MAX_STRIP = 100
# Far more than a row of 36 coordinates and a file's name has.
_MAX_ROW = 4000
Pixels = Annotated[float, Field(allow_inf_nan=False, ge=-MAX_FRAME_PX, le=MAX_FRAME_PX)]
FrameSide = Annotated[float, Field(allow_inf_nan=False, ge=1, le=MAX_FRAME_PX)]
Shift = Annotated[float, Field(allow_inf_nan=False, ge=-MAX_SHIFT_PX, le=MAX_SHIFT_PX)]
_POINT_SCHEMA = {
    "anyOf": [
        {"type": "null"},
        {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2, "maxItems": 3},
    ]
}


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


class PosePhotoBody(PictureBody):
    """A photo of the pose."""

    frame: FrameOfPose = Field(
        default="photo",
        description="What the model's square stands for: `photo`, all of it; `person`, a frame of the aspect 176:256 "
        "around the person",
    )


class FitBody(Body):
    """How much of the frame is left free around a pose."""

    margin: float = Field(
        default=DEFAULT_MARGIN, ge=0, le=MAX_MARGIN, allow_inf_nan=False, description="Share of its sides, at each end"
    )


class PointsBody(Body):
    """A pose by its key points: 18 of them with their frame, a name, or a document of another tool.

    What OpenPose writes and an annotation of COCO may also stand in its place as they are.
    """

    model_config = one_of("keypoints", "preset", "openpose", "coco17", "deepfashion")

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
    """A pose: by its key points, between two such poses, a skeleton picture, or a photo of somebody in it."""

    model_config = one_of("keypoints", "preset", "openpose", "coco17", "deepfashion", "between", "skeleton", "photo")

    between: BetweenBody | None = Field(default=None, description="A body's way from one pose to another")
    skeleton: PictureBody | None = Field(default=None, description="A drawn skeleton, stretched to 256 x 256")
    photo: PosePhotoBody | None = Field(default=None, description="A photo of one person, whose pose is taken")


class PoseBody(PoseFormsBody):
    """The pose: in one of these forms, or one that was uploaded before."""

    model_config = one_of(
        "keypoints", "preset", "openpose", "coco17", "deepfashion", "between", "skeleton", "photo", "id"
    )

    id: str | None = Field(default=None, description="Of `POST /v1/poses`")


class PoseUpload(Body):
    """What `POST /v1/poses` takes, under the name that it has in a form."""

    pose: PoseFormsBody


def check_pose_upload(fields: dict[str, Any]) -> PoseFormsBody:
    """Check the field `pose`, which must be the only one; raises as `validated`."""
    pose = validated(PoseUpload, arranged(fields, "pose")).pose
    check_pose(pose)
    return pose


def check_strip(fields: dict[str, Any]) -> StripBody:
    """Check two poses and how many there are to be; raises as `validated`."""
    strip = validated(StripBody, arranged(fields, "from", "to"))
    _check_way(strip, "")
    return strip


def arranged(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """These of the fields, which are poses, may be other tools' documents."""
    return fields | {name: as_pose(fields[name]) for name in names if name in fields}


def check_pose(pose: PoseFormsBody) -> None:
    """What one look at each field can't tell; RequestError `validation` or `unknown_preset`."""
    check_forms("/pose", pose, (*_FORMS, "id") if isinstance(pose, PoseBody) else _FORMS)
    _check_points(pose, "/pose")
    if pose.between is not None:
        _check_way(pose.between, "/pose/between")
    if pose.skeleton is not None:
        _check_unmoved(pose, "move the picture itself, or send its key points")
    if isinstance(pose, PoseBody) and pose.id is not None:
        _check_unmoved(pose, "send those that `GET /v1/poses/{id}` tells of the pose")


def _check_way(way: WayBody, pointer: str) -> None:
    for name, pose in (("from", way.start), ("to", way.to)):
        check_forms(f"{pointer}/{name}", pose, _FORMS_BY_POINTS)
        _check_points(pose, f"{pointer}/{name}")


def _check_points(pose: PointsBody, pointer: str) -> None:
    """What holds of the forms by key points; any other one has no frame of its own."""
    for form in ("keypoints", "coco17"):
        if getattr(pose, form) is not None and pose.size is None:
            raise invalid([FieldIssue(f"{pointer}/size", f"is required with {form}")])
    has_frame = any(getattr(pose, form) is not None for form in _FORMS_WITH_FRAME)
    if not has_frame and (pose.size is not None or pose.origin is not None):
        listed = f"{', '.join(_FORMS_WITH_FRAME[:-1])} and {_FORMS_WITH_FRAME[-1]}"
        raise invalid([FieldIssue(pointer, f"size and origin go with {listed} only")])
    if pose.preset is not None and pose.preset not in POSE_PRESETS:
        detail = f"must be one of {', '.join(POSE_PRESETS)}"
        raise RequestError.of_field("unknown_preset", f"{pointer}/preset", detail)


def _check_unmoved(pose: PointsBody, advice: str) -> None:
    for name in MOVES:
        if getattr(pose, name) != PointsBody.model_fields[name].default:
            raise invalid([FieldIssue(f"/pose/{name}", f"goes with key points: {advice}")])
