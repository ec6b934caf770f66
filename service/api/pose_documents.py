"""A document that another tool wrote, in the place of a pose: dropped as it is, it becomes the form that it has.

It tells them by their members and reads none of them (`service.domain.pose_formats`).
"""

from typing import Any, cast

# What a client may have set beside the tool's own members. `id` is not among them: COCO's annotations have one.
_OURS = frozenset(
    {
        "size", "origin", "mirror", "fit", "scale", "shift",
        "preset", "openpose", "coco17", "deepfashion", "between", "photo", "skeleton",
    }
)  # fmt: skip
_NUM_COCO_NUMBERS = 51


def as_pose(given: object) -> object:
    """A pose object as it is, or what OpenPose and COCO write as one; anything else as it is."""
    if not isinstance(given, dict):
        return given
    document = cast("dict[str, Any]", given)
    own = {name: value for name, value in document.items() if name in _OURS}
    rest = {name: value for name, value in document.items() if name not in _OURS}
    made: dict[str, Any] = {}
    if "people" in rest:
        made = {"openpose": rest}
    elif "pose_keypoints_2d" in rest:
        made = {"openpose": {"people": [rest]}}
    elif _is_annotation(rest.get("keypoints")):
        made = {"coco17": rest["keypoints"]}
    if made and own.keys().isdisjoint(made):
        return made | own
    between = document.get("between")
    if isinstance(between, dict):
        ends = {name: as_pose(value) for name, value in cast("dict[str, Any]", between).items()}
        return document | {"between": ends}
    return document


def _is_annotation(points: object) -> bool:
    """COCO's own 51 numbers in a row under the name of our 18 entries."""
    if not isinstance(points, list):
        return False
    numbers = cast("list[object]", points)
    return len(numbers) == _NUM_COCO_NUMBERS and not any(isinstance(number, list) for number in numbers)
