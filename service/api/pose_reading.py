"""A checked pose body becomes key points: read in its form, moved, and found fit to be drawn."""

from collections.abc import Sequence

from service.api.pose_schemas import PointsBody, PoseFormsBody, WayBody
from service.domain.pose import KeyPoints, Point, check_usable, read_points
from service.domain.pose_formats import read_coco17, read_deepfashion, read_openpose
from service.domain.pose_interpolation import between
from service.domain.pose_moves import Moves, moved
from service.gateway.pose_presets import POSE_PRESETS


def key_points_of(pose: PointsBody, pointer: str = "/pose") -> KeyPoints:
    """What the body asks to be drawn.

    Args:
        pose: in any form that tells key points.
        pointer: of the pose, for errors.

    Raises:
        RequestError: `keypoints_format`, `no_person`, `several_persons`, or `validation` of a document without a frame;
            and as `moved_as_asked`.
    """
    form, given = _given(pose, pointer)
    return moved_as_asked(given, pose, f"{pointer}/{form}", is_indexed=form == "keypoints")


def moved_as_asked(given: KeyPoints, pose: PointsBody, pointer: str, *, is_indexed: bool = False) -> KeyPoints:
    """Key points after the moves of the body that they come from, fit to be drawn.

    Args:
        given: wherever they lie.
        pose: whose moves are asked for.
        pointer: of the field that they come from, for errors.
        is_indexed: the field has an entry a point.

    Raises:
        RequestError: `pose_too_sparse` or `pose_out_of_frame`.
    """
    moves = moves_of(pose)
    made = moved(given, moves)
    check_usable(made, pointer, is_indexed=is_indexed and moves == Moves())
    return made


def ends_of(way: WayBody, pointer: str) -> tuple[KeyPoints, KeyPoints]:
    """The two poses of a way, whose own pointer this is; raises as `key_points_of`."""
    return key_points_of(way.start, f"{pointer}/from"), key_points_of(way.to, f"{pointer}/to")


def moves_of(pose: PointsBody) -> Moves:
    """What is to be done to the pose."""
    margin = pose.fit.margin if pose.fit else None
    return Moves(pose.mirror, margin, pose.scale, _pair(pose.shift) or (0.0, 0.0))


def _given(pose: PointsBody, pointer: str) -> tuple[str, KeyPoints]:
    """The form, and its key points before any move."""
    size, origin = _pair(pose.size), _pair(pose.origin)
    if pose.preset is not None:
        return "preset", POSE_PRESETS[pose.preset].key_points
    if pose.openpose is not None:
        return "openpose", read_openpose(pose.openpose, size, origin, pointer)
    if pose.deepfashion is not None:
        return "deepfashion", read_deepfashion(pose.deepfashion, size, origin, pointer)
    if isinstance(pose, PoseFormsBody) and pose.between is not None:
        return "between", between(*ends_of(pose.between, f"{pointer}/between"), pose.between.at)
    assert size, "key points that are none of these come with their frame"
    if pose.coco17 is not None:
        return "coco17", read_coco17(pose.coco17, size, origin, pointer)
    points = read_points(pose.keypoints or [], f"{pointer}/keypoints")
    return "keypoints", KeyPoints(points, size, origin or (0.0, 0.0))


def _pair(values: Sequence[float] | None) -> Point | None:
    return (float(values[0]), float(values[1])) if values else None
