"""More of the corpus: poses in the forms of other tools, between others, and moved, each wrong in one way."""

import json
from typing import Any

from tests.api.bad_inputs import GOOD_BODY, POSE, SKELETON, SOURCE, BadInput, as_form, as_json, part

NUMBERS_18: list[Any] = [value for i in range(18) for value in (100 + 5 * i, 40 + 9 * i, 0.9)]
NUMBERS_25: list[Any] = [value for i in range(25) for value in (100 + 5 * i, 40 + 8 * i, 0.9)]
OPENPOSE: dict[str, Any] = {
    "version": 1.3,
    "people": [{"person_id": [-1], "pose_keypoints_2d": NUMBERS_18, "hand_left_keypoints_2d": []}],
    "canvas_width": 256,
    "canvas_height": 256,
}
NUMBERS_17: list[Any] = [value for i in range(17) for value in (100 + 5 * i, 40 + 9 * i, 2)]
COCO: dict[str, Any] = {"coco17": NUMBERS_17, "size": [256, 256]}
ANNOTATION: dict[str, Any] = {
    "id": 7, "image_id": 3, "category_id": 1, "iscrowd": 0, "area": 9000.0, "num_keypoints": 17,
    "bbox": [100.0, 40.0, 80.0, 150.0], "segmentation": [[1, 2, 3, 4, 5, 6]], "keypoints": NUMBERS_17,
}  # fmt: skip
COLUMNS: dict[str, Any] = {
    "keypoints_y": [40 + 9 * i for i in range(18)],
    "keypoints_x": [80 + 5 * i for i in range(18)],
}
ROW = f"fashionMENShirts_1front.jpg: {COLUMNS['keypoints_y']}: {COLUMNS['keypoints_x']}"
STANDING, WALKING = {"preset": "standing"}, {"preset": "walking"}
HALFWAY: dict[str, Any] = {"from": STANDING, "to": WALKING, "at": 0.5}


def with_numbers(*numbers: Any, of: list[Any]) -> list[Any]:
    """A list whose first numbers are these."""
    return [*numbers, *of[len(numbers) :]]


def _bad(name: str, code: str, pointer: str | None, pose: Any) -> BadInput:
    return BadInput(f"pose-{name}", 422, code, pointer, **as_json(GOOD_BODY | {"pose": pose}))


def _openpose(name: str, code: str, pointer: str, **changes: Any) -> BadInput:
    document = {key: value for key, value in (OPENPOSE | changes).items() if value is not ...}
    return _bad(f"openpose-{name}", code, f"/pose{pointer}", {"openpose": document})


def _numbers(name: str, pointer: str, numbers: Any) -> BadInput:
    place = f"/openpose/people/0/pose_keypoints_2d{pointer}"
    return _openpose(name, "keypoints_format", place, people=[{"pose_keypoints_2d": numbers}])


def _coco(name: str, pointer: str, entries: Any, **more: Any) -> BadInput:
    return _bad(f"coco-{name}", "keypoints_format", f"/pose/coco17{pointer}", COCO | {"coco17": entries} | more)


def _deepfashion(name: str, code: str, pointer: str, row: Any, **more: Any) -> BadInput:
    return _bad(f"deepfashion-{name}", code, f"/pose/deepfashion{pointer}", {"deepfashion": row} | more)


def _between(name: str, pointer: str, code: str = "validation", **changes: Any) -> BadInput:
    way = {key: value for key, value in (HALFWAY | changes).items() if value is not ...}
    return _bad(f"between-{name}", code, f"/pose/between{pointer}", {"between": way})


def _move(name: str, pointer: str, **moves: Any) -> BadInput:
    return _bad(f"moves-{name}", "validation", f"/pose{pointer}", WALKING | moves)


def _form(name: str, code: str, pointer: str, *parts: bytes) -> BadInput:
    return BadInput(f"form-pose-{name}", 422, code, pointer, **as_form(SOURCE, *parts))


def a_field(name: str, text: str) -> bytes:
    return part(name, text.encode(), is_file=False)


def a_document(document: Any) -> bytes:
    """As curl sends a file whose kind it does not know."""
    return part("pose", json.dumps(document).encode(), content_type="application/octet-stream")


PEOPLE = "/openpose/people"
POSE_FORMS = [
    _openpose("nobody", "no_person", PEOPLE, people=[]),
    _openpose("two", "several_persons", PEOPLE, people=2 * OPENPOSE["people"]),
    _openpose("people-missing", "keypoints_format", PEOPLE, people=...),
    _openpose("people-object", "keypoints_format", PEOPLE, people={}),
    _openpose("person-list", "keypoints_format", f"{PEOPLE}/0", people=[NUMBERS_18]),
    _openpose("person-empty", "keypoints_format", f"{PEOPLE}/0/pose_keypoints_2d", people=[{}]),
    _openpose("canvas-missing", "validation", "/size", canvas_width=..., canvas_height=...),
    _openpose("canvas-half", "validation", "/size", canvas_height=...),
    _openpose("canvas-0", "keypoints_format", "/openpose/canvas_width", canvas_width=0),
    _openpose("canvas-text", "keypoints_format", "/openpose/canvas_height", canvas_height="256"),
    _openpose("canvas-1e300", "keypoints_format", "/openpose/canvas_height", canvas_height=1e300),
    _openpose("canvas-tiny", "pose_out_of_frame", "/openpose", canvas_width=16, canvas_height=16),
    _numbers("null", "", None),
    _numbers("17-points", "", NUMBERS_17),
    _numbers("55-numbers", "", [*NUMBERS_18, 1]),
    _numbers("rows", "", [[1, 2, 1]] * 18),
    _numbers("text", "/0", with_numbers("100", of=NUMBERS_18)),
    _numbers("bool", "/1", with_numbers(1, True, of=NUMBERS_25)),
    _numbers("1e300", "/3", with_numbers(1, 2, 1, 1e300, of=NUMBERS_18)),
    _numbers("confidence-negative", "/2", with_numbers(1, 2, -0.5, of=NUMBERS_18)),
    _numbers("confidence-null", "/2", with_numbers(1, 2, None, of=NUMBERS_18)),
    _openpose("unseen", "pose_too_sparse", "/openpose", people=[{"pose_keypoints_2d": [0] * 54}]),
    _bad("openpose-list", "validation", "/pose/openpose", {"openpose": [OPENPOSE]}),
    _bad("openpose-size-0", "validation", "/pose/size/0", {"openpose": OPENPOSE, "size": [0, 1]}),
    _bad("openpose-and-preset", "validation", "/pose", {"openpose": OPENPOSE} | WALKING),
    _bad("openpose-dropped-and-preset", "validation", "/pose", OPENPOSE | WALKING),
    _bad("openpose-dropped-and-inside", "validation", "/pose/people", OPENPOSE | {"openpose": OPENPOSE}),
    _coco("of-50", "", NUMBERS_17[:50]),
    _coco("of-18-rows", "", [[1, 2]] * 18),
    _coco("empty", "", []),
    _coco("row-of-1", "/0", [[1], *[[1, 2]] * 16]),
    _coco("row-of-4", "/1", [None, [1, 2, 1, 1], *[[1, 2]] * 15]),
    _coco("row-number", "/2", [None, None, 7, *[[1, 2]] * 14]),
    _coco("row-of-texts", "/0/1", [[1, "2"], *[[1, 2]] * 16]),
    _coco("visibility-negative", "/2", with_numbers(1, 2, -1, of=NUMBERS_17)),
    _coco("number-is-a-list", "/0", with_numbers([1], of=NUMBERS_17)),
    _bad("coco-text", "validation", "/pose/coco17", COCO | {"coco17": "51 numbers"}),
    _bad("coco-without-size", "validation", "/pose/size", {"coco17": NUMBERS_17}),
    _bad("coco-unseen", "pose_too_sparse", "/pose/coco17", COCO | {"coco17": [None] * 17}),
    _bad("coco-out-of-frame", "pose_out_of_frame", "/pose/coco17", COCO | {"size": [20, 20]}),
    _bad("coco-annotation-without-size", "validation", "/pose/size", ANNOTATION),
    _deepfashion("number", "validation", "", 7),
    _deepfashion("long-row", "validation", "", "x" * 4001),
    _deepfashion("empty", "keypoints_format", "/keypoints_y", {}),
    _deepfashion("half", "keypoints_format", "/keypoints_x", {"keypoints_y": COLUMNS["keypoints_y"]}),
    _deepfashion("of-17", "keypoints_format", "/keypoints_x", COLUMNS | {"keypoints_x": [1] * 17}),
    _deepfashion("text", "keypoints_format", "/keypoints_x/2", COLUMNS | {"keypoints_x": [1, 2, "3", *[4] * 15]}),
    _deepfashion("row-without-name", "keypoints_format", "", "[1]:[2]"),
    _deepfashion("row-of-1", "keypoints_format", "", "a.jpg:[1]:[2]"),
    _deepfashion("row-nested", "keypoints_format", "", f"a.jpg:{'[' * 1500}:[1]"),
    _deepfashion("row-nan", "keypoints_format", "", ROW.replace("[40,", "[NaN,")),
    _deepfashion("unseen", "pose_too_sparse", "", dict.fromkeys(COLUMNS, [-1] * 18)),
    _deepfashion("out-of-frame", "pose_out_of_frame", "", ROW, size=[10, 10]),
    _between("from-missing", "/from", **{"from": ...}),
    _between("at-missing", "/at", at=...),
    _between("at-1.1", "/at", at=1.1),
    _between("at-text", "/at", at="0.5"),
    _between("more", "/count", count=3),
    _between("to-empty", "/to", to={}),
    _between("to-two-forms", "/to", to=POSE | WALKING),
    _between("to-unknown-preset", "/to/preset", "unknown_preset", to={"preset": "flying"}),
    _between("to-id", "/to/id", to={"id": "pos_" + "0" * 32}),
    _between("to-skeleton", "/to/skeleton", to={"skeleton": GOOD_BODY["source"]}),
    _between("to-between", "/to/between", to={"between": HALFWAY}),
    _between("to-size-missing", "/to/size", to={"keypoints": POSE["keypoints"]}),
    _between("to-17-points", "/to/keypoints", "keypoints_format", to=POSE | {"keypoints": POSE["keypoints"][:17]}),
    _between("to-nobody", "/to/openpose/people", "no_person", to=OPENPOSE | {"people": []}),
    _between("to-bad-move", "/to/scale", to=WALKING | {"scale": 0}),
    _bad("between-number", "validation", "/pose/between", {"between": 0.5}),
    _bad("between-and-size", "validation", "/pose", {"between": HALFWAY, "size": [256, 256]}),
    _move("mirror-text", "/mirror", mirror="true"),
    _move("mirror-1", "/mirror", mirror=1),
    _move("fit-text", "/fit", fit="tight"),
    _move("fit-number", "/fit", fit=0.1),
    _move("fit-margin-0.5", "/fit/margin", fit={"margin": 0.5}),
    _move("fit-margin-negative", "/fit/margin", fit={"margin": -0.1}),
    _move("fit-margin-true", "/fit/margin", fit={"margin": True}),
    _move("fit-unknown", "/fit/padding", fit={"padding": 0.1}),
    _move("scale-0", "/scale", scale=0),
    _move("scale-11", "/scale", scale=11),
    _move("scale-text", "/scale", scale="2"),
    _move("shift-number", "/shift", shift=5),
    _move("shift-of-1", "/shift", shift=[5]),
    _move("shift-257", "/shift/1", shift=[0, 257]),
    # The names of a mirrored pose are others, so no entry is pointed to.
    _bad("moves-of-an-outsider", "pose_out_of_frame", "/pose/keypoints",
         POSE | {"keypoints": [[2560, 40], *POSE["keypoints"][1:]], "mirror": True}),
    _bad("moves-too-far", "pose_out_of_frame", "/pose/preset", WALKING | {"scale": 10}),
    _bad("moves-too-small", "pose_too_sparse", "/pose/keypoints",
         POSE | {"keypoints": [[100, 100], [104, 100], [102, 102], *[None] * 15], "scale": 0.1}),
    _bad("moves-of-a-skeleton", "validation", "/pose/mirror", {"skeleton": GOOD_BODY["source"], "mirror": True}),
    _bad("moves-of-an-id", "validation", "/pose/fit", {"id": "pos_" + "0" * 32, "fit": True}),
    _bad("dropped-document-unknown", "validation", "/pose/miror", OPENPOSE | {"miror": True}),
    _bad("dropped-document-keypoints", "validation", "/pose", OPENPOSE | {"keypoints": POSE["keypoints"]}),
    _bad("dropped-document-annotation", "validation", "/pose", OPENPOSE | {"keypoints": NUMBERS_17}),
    _bad("dropped-document-id", "validation", "/pose", OPENPOSE | {"id": "pos_" + "0" * 32}),
    _bad("dropped-person-unknown", "validation", "/pose/fitt", OPENPOSE["people"][0] | {"size": [9, 9], "fitt": True}),
    _bad("dropped-annotation-unknown", "validation", "/pose/shfit", ANNOTATION | {"size": [9, 9], "shfit": [1, 1]}),
    _bad("dropped-end-unknown", "validation", "/pose/between/to/miror",
         {"between": HALFWAY | {"to": OPENPOSE | {"miror": True}}}),
    _form("mirror-words", "validation", "/pose/mirror", a_field("pose_preset", "back"), a_field("pose_mirror", "yes")),
    _form("fit-words", "validation", "/pose/fit", a_field("pose_preset", "back"), a_field("pose_fit", "1")),
    _form("size-words", "validation", "/pose/size", a_document(ANNOTATION), a_field("pose_size", "640 x 480")),
    _form("size-0", "validation", "/pose/size", a_document(ANNOTATION), a_field("pose_size", "0x480")),
    _form("size-twice", "validation", "/pose_size", a_document(POSE), a_field("pose_size", "640x480")),
    _form("mirror-of-a-picture", "validation", "/pose/mirror", SKELETON, a_field("pose_mirror", "true")),
    _form("mirror-of-nothing", "validation", "/pose", a_field("pose_mirror", "true")),
    _form("openpose-nobody", "no_person", "/pose/openpose/people", a_document(OPENPOSE | {"people": []})),
    _form("annotation-without-size", "validation", "/pose/size", a_document(ANNOTATION)),
]  # fmt: skip
