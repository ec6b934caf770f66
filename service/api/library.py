"""/v1/sources and /v1/poses: pictures that are uploaded once and named by their ids afterwards.

The poses that have names are `service.api.poses`'.
"""

import hashlib
import io
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from PIL import Image
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from service.api.callers import GeneratorDep, ReaderDep
from service.api.conditional import entity_tag, is_known
from service.api.dependencies import Edge, EdgeDep
from service.api.openapi import PICTURE_PROBLEMS, POSE_PROBLEMS, POSE_UPLOAD, SOURCE_UPLOAD, problems
from service.api.views import moment, points_fields
from service.domain.access import Caller
from service.domain.errors import RequestError
from service.domain.library import StoredPicture
from service.domain.person import UNSUITABLE_CODES
from xmdpt.spec import IMAGE_SIZE

router = APIRouter(tags=["library"])

SourceIdPath = Annotated[str, Path(description="`src_` and 32 lower-case hex digits", examples=["src_" + "0" * 32])]
PoseIdPath = Annotated[str, Path(description="`pos_` and 32 lower-case hex digits", examples=["pos_" + "0" * 32])]


class PictureView(BaseModel):
    """A picture that can be named in a request."""

    id: str
    object: Literal["source", "pose"]
    sha256: str = Field(description="Over its 256 x 256 x 3 bytes, as the model takes them")
    width: int = Field(description="Of the photo as it was sent, upright, px; of a pose 256; likewise height")
    height: int
    created_at: str = Field(description="RFC 3339, UTC")
    expires_at: str = Field(description="7 days after its last use, of which this answer is one")
    vector: Literal["ready", "pending"] = Field(description="`pending`: the next job with it has to run an encoder")


class SourceView(PictureView):
    """A photo."""

    object: Literal["source"] = "source"


class PoseView(PictureView):
    """A pose."""

    object: Literal["pose"] = "pose"
    keypoints: list[list[float] | None] | None = Field(description="What it was drawn from; null if it was a drawing")
    size: list[float] | None = Field(description="Of the key points' frame; likewise origin")
    origin: list[float] | None
    image: str = Field(description="Where its skeleton is drawn")


_WARM: dict[str, Any] = {
    "parameters": [
        {
            "name": "warm",
            "in": "query",
            "required": False,
            "schema": {"type": "boolean", "default": False},
            "description": "Have an idle worker make its vector now, and wait for that up to 5 s",
        }
    ]
}
_NO_POINTS: dict[str, Any] = dict.fromkeys(("keypoints", "size", "origin"))
_READ = ("not_found", "queue_unavailable", "storage_unavailable")


def _upload_route(view: type[PictureView], *codes: str) -> dict[str, Any]:
    location = {"Location": {"schema": {"type": "string"}}}
    answers: dict[int | str, dict[str, Any]] = {
        200: {"model": view, "description": "It was there already"},
        201: {"model": view, "description": "Kept from now on", "headers": location},
        **problems(*codes, "concurrency_limited", "quota_exhausted", "queue_unavailable", "storage_unavailable"),
    }
    return {"response_class": Response, "responses": answers, "status_code": 201}


def _look_route(view: type[PictureView]) -> dict[str, Any]:
    answers: dict[int | str, dict[str, Any]] = {200: {"model": view, "description": "What is kept"}, **problems(*_READ)}
    return {"response_class": Response, "responses": answers}


_DELETED: dict[int | str, dict[str, Any]] = {
    204: {"description": "It can't be named any more; accepted jobs have their own copy"},
    **problems("not_found", "queue_unavailable"),
}


@router.post(
    "/v1/sources",
    operation_id="uploadSource",
    summary="Keep a photo for later jobs",
    openapi_extra=SOURCE_UPLOAD | _WARM,
    **_upload_route(SourceView, *PICTURE_PROBLEMS, *UNSUITABLE_CODES),
)
async def upload_source(request: Request, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """The same photo again is found again: 200 with the same id."""
    with _warming(request, caller, edge) as is_warm:
        photo = await edge.reader.read_source(request)
        stored, is_new = await edge.services.library.add("source", caller.tenant, photo)
        return await _answer(edge, stored, is_new=is_new, is_warm=is_warm)


@router.get(
    "/v1/sources/{source_id}",
    operation_id="getSource",
    summary="A photo that is kept",
    **_look_route(SourceView),
)
async def get_source(source_id: SourceIdPath, caller: ReaderDep, edge: EdgeDep) -> Response:
    """It is kept for another 7 days."""
    return await _answer(edge, await edge.services.library.find(source_id, caller.tenant, "source"))


@router.delete(
    "/v1/sources/{source_id}",
    operation_id="deleteSource",
    summary="Forget a photo",
    responses=_DELETED,
    status_code=204,
)
async def delete_source(source_id: SourceIdPath, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """Jobs that were accepted with it go on."""
    await edge.services.library.delete(source_id, caller.tenant, "source")
    return Response(status_code=204)


@router.post(
    "/v1/poses",
    operation_id="uploadPose",
    summary="Keep a pose for later jobs",
    openapi_extra=POSE_UPLOAD | _WARM,
    **_upload_route(PoseView, *POSE_PROBLEMS),
)
async def upload_pose(request: Request, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """The same pose from the same key points is found again: 200 with the same id."""
    with _warming(request, caller, edge) as is_warm:
        drawing, key_points = await edge.reader.read_pose(request)
        stored, is_new = await edge.services.library.add("pose", caller.tenant, drawing, key_points)
        return await _answer(edge, stored, is_new=is_new, is_warm=is_warm)


@router.get(
    "/v1/poses/{pose_id}",
    operation_id="getPose",
    summary="A pose that is kept",
    **_look_route(PoseView),
)
async def get_pose(pose_id: PoseIdPath, caller: ReaderDep, edge: EdgeDep) -> Response:
    """It is kept for another 7 days."""
    return await _answer(edge, await edge.services.library.find(pose_id, caller.tenant, "pose"))


@router.delete(
    "/v1/poses/{pose_id}",
    operation_id="deletePose",
    summary="Forget a pose",
    responses=_DELETED,
    status_code=204,
)
async def delete_pose(pose_id: PoseIdPath, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """Jobs that were accepted with it go on."""
    await edge.services.library.delete(pose_id, caller.tenant, "pose")
    return Response(status_code=204)


@router.get(
    "/v1/poses/{pose_id}/image",
    operation_id="getPoseImage",
    summary="The skeleton of a pose that is kept",
    response_class=Response,
    responses={
        200: {
            "description": "256 x 256 px, as the model is given it",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
            "headers": {name: {"schema": {"type": "string"}} for name in ("ETag", "Cache-Control")},
        },
        304: {"description": "The caller has it already"},
        **problems(*_READ),
    },
)
async def get_pose_image(request: Request, pose_id: PoseIdPath, caller: ReaderDep, edge: EdgeDep) -> Response:
    """A PNG file, which never changes."""
    stored = await edge.services.library.find(pose_id, caller.tenant, "pose")
    pixels = await edge.services.library.pixels(stored)
    content = await anyio.to_thread.run_sync(_png, pixels)
    tag = entity_tag(hashlib.sha256(content).hexdigest())
    seconds_left = max(0, round(stored.expires_at - time.time()))
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={seconds_left}, immutable"}
    if is_known(",".join(request.headers.getlist("if-none-match")), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="image/png")


def _png(pixels: bytes) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (IMAGE_SIZE, IMAGE_SIZE), pixels).save(file, "PNG")
    return file.getvalue()


@contextmanager
def _warming(request: Request, caller: Caller, edge: Edge) -> Generator[bool]:
    """Whether the call may wait for a vector; it counts as one that waits from its start, before anything is kept."""
    asked = request.query_params.getlist("warm") or ["false"]
    if asked not in (["true"], ["false"]):
        raise RequestError.of_field("validation", "/warm", "must be true or false, once")
    is_warm = asked == ["true"]
    with edge.services.rates.waiting(caller) if is_warm else nullcontext():
        yield is_warm


async def _answer(edge: Edge, stored: StoredPicture, *, is_new: bool = False, is_warm: bool = False) -> Response:
    library = edge.services.library
    view = _view(stored, has_vector=await (library.warm(stored) if is_warm else library.has_vector(stored)))
    headers = {"Location": _url(stored)} if is_new else {}
    return JSONResponse(view.model_dump(mode="json"), 201 if is_new else 200, headers)


def _url(stored: StoredPicture) -> str:
    return f"/v1/{stored.kind}s/{stored.id}"


def _view(stored: StoredPicture, *, has_vector: bool) -> PictureView:
    common: dict[str, Any] = {
        "id": stored.id,
        "sha256": stored.digest.removeprefix("sha256:"),
        "width": stored.width_px,
        "height": stored.height_px,
        "created_at": moment(stored.created_at),
        "expires_at": moment(stored.expires_at),
        "vector": "ready" if has_vector else "pending",
    }
    if stored.kind == "source":
        return SourceView(**common)
    points = points_fields(stored.key_points) if stored.key_points else _NO_POINTS
    return PoseView(**common, **points, image=f"{_url(stored)}/image")
