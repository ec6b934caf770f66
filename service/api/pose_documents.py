"""A document that another tool wrote, in the place of a pose: dropped as it is, it becomes the form that it has.

It tells them by their members and reads none of them (`service.domain.pose_formats`).
"""

from typing import Any, cast

# What OpenPose writes, and editors that write the same; the members of a document and those of a person.
_OF_OPENPOSE = frozenset({"version", "people", "part_candidates", "animals", "canvas_width", "canvas_height"})
_PARTS = ("pose", "face", "hand_left", "hand_right")
_OF_A_PERSON = frozenset(
    {"person_id", *(f"{part}_keypoints_{dimensions}d" for part in _PARTS for dimensions in (2, 3))}
)
# What an annotation of COCO has, or of COCO-WholeBody, and a detector's result in the same form.
_OF_COCO = frozenset(
    {
        "id", "image_id", "category_id", "iscrowd", "area", "bbox", "segmentation", "num_keypoints", "keypoints",
        "score", "foot_kpts", "foot_valid",
        *(f"{part}_{name}" for part in ("face", "lefthand", "righthand") for name in ("kpts", "valid", "box")),
    }
)  # fmt: skip
_NUM_COCO_NUMBERS = 51


def as_pose(given: object) -> object:
    """A pose object as it is, or what OpenPose and COCO write as one; anything else as it is.

    Members that the tool does not write stay beside its document, as those of a pose: an unknown one is refused there.
    """
    if not isinstance(given, dict):
        return given
    document = cast("dict[str, Any]", given)
    made, of_the_tool = _read(document)
    own = {name: value for name, value in document.items() if name not in of_the_tool}
    if made and own.keys().isdisjoint(made):
        return made | own
    between = document.get("between")
    if isinstance(between, dict):
        ends = {name: as_pose(value) for name, value in cast("dict[str, Any]", between).items()}
        return document | {"between": ends}
    return document


def _read(document: dict[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The pose's form, or nothing, and the members that the tool writes: they are read, or are no wishes."""
    if "people" in document:
        return {"openpose": _only(_OF_OPENPOSE, document)}, _OF_OPENPOSE
    if "pose_keypoints_2d" in document:
        return {"openpose": {"people": [_only(_OF_A_PERSON, document)]}}, _OF_A_PERSON
    if _is_annotation(document.get("keypoints")):
        return {"coco17": document["keypoints"]}, _OF_COCO
    return {}, frozenset()


def _only(names: frozenset[str], document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name in names}


def _is_annotation(points: object) -> bool:
    """COCO's own 51 numbers in a row under the name of our 18 entries."""
    if not isinstance(points, list):
        return False
    numbers = cast("list[object]", points)
    return len(numbers) == _NUM_COCO_NUMBERS and not any(isinstance(number, list) for number in numbers)
