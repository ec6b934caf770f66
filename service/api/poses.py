"""/v1/poses/presets: the poses that have names, and their pictures."""

import functools
import io
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from PIL import Image
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.api.callers import ReaderDep
from service.api.openapi import problems
from service.api.views import points_fields
from service.gateway.pose_presets import POSE_PRESETS, PosePreset, preset
from xmdpt.spec import IMAGE_SIZE

router = APIRouter(prefix="/v1/poses/presets", tags=["poses"])

# They change with the version only.
_CACHING = {"Cache-Control": "private, max-age=3600"}
PresetName = Annotated[str, Path(description="A name of `GET /v1/poses/presets`", examples=["standing"])]


class PresetView(BaseModel):
    """A pose that has a name."""

    name: str = Field(description="For `pose.preset`", examples=["standing"])
    object: Literal["pose_preset"] = "pose_preset"
    keypoints: list[list[float] | None] = Field(description="As in `pose.keypoints`; null where nothing is seen")
    size: list[float]
    origin: list[float]
    image: str = Field(description="Where its skeleton is drawn")


class PresetListView(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[PresetView]
    next_cursor: None = None


@router.get("", operation_id="listPosePresets", summary="Poses that have names", responses=problems())
async def list_presets(_caller: ReaderDep) -> PresetListView:
    """Names and key points; a request takes one by `pose.preset`, or its key points moved by hand."""
    return PresetListView(data=[_view(each) for each in POSE_PRESETS.values()])


@router.get(
    "/{name}/image",
    operation_id="getPosePresetImage",
    summary="The skeleton of a named pose",
    response_class=Response,
    responses={
        200: {
            "description": "256 x 256 px, as the model is given it",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems("not_found"),
    },
)
async def get_preset_image(name: PresetName, _caller: ReaderDep) -> Response:
    """A PNG file."""
    return Response(_picture(preset(name)), headers=_CACHING, media_type="image/png")


@functools.cache
def _picture(each: PosePreset) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (IMAGE_SIZE, IMAGE_SIZE), each.skeleton).save(file, "PNG")
    return file.getvalue()


def _view(each: PosePreset) -> PresetView:
    return PresetView(
        name=each.name,
        **points_fields(each.key_points),
        image=f"{router.prefix}/{each.name}/image",
    )
