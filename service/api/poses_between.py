"""/v1/poses/between: the poses on the way from one to another. Nothing is kept, and no picture is made."""

from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from service.api.callers import ReaderDep
from service.api.dependencies import EdgeDep
from service.api.openapi import POINTS_PROBLEMS, STRIP_BODY, problems
from service.api.views import points_fields
from service.domain.pose import KeyPoints
from service.domain.pose_interpolation import between

router = APIRouter(tags=["poses"])


class PoseOnTheWay(BaseModel):
    """One of the poses; without `at` it is a `pose` of a request."""

    keypoints: list[list[float] | None] = Field(description="As in `pose.keypoints`; null where nothing is seen")
    size: list[float] = Field(description="Of the key points' frame; likewise origin")
    origin: list[float]
    at: float = Field(description="How far on the way, 0 to 1")


class PosesOnTheWay(BaseModel):
    """All of them, in their order."""

    object: Literal["list"] = "list"
    data: list[PoseOnTheWay]
    next_cursor: None = None


@router.post(
    "/v1/poses/between",
    operation_id="listPosesBetween",
    summary="Poses on the way from one to another",
    openapi_extra=STRIP_BODY,
    responses=problems("malformed_request", "body_too_large", "media_type", "validation", *POINTS_PROBLEMS),
)
async def list_poses_between(request: Request, _caller: ReaderDep, edge: EdgeDep) -> PosesOnTheWay:
    """As a batch's matrix with one photo and one seed they make the pictures of a movement."""
    first, last, count = await edge.reader.read_way(request)
    return await anyio.to_thread.run_sync(_way, first, last, count)


def _way(first: KeyPoints, last: KeyPoints, count: int) -> PosesOnTheWay:
    places = [index / (count - 1) for index in range(count)]
    return PosesOnTheWay(data=[_view(between(first, last, at), at) for at in places])


def _view(pose: KeyPoints, at: float) -> PoseOnTheWay:
    return PoseOnTheWay(**points_fields(pose), at=at)
