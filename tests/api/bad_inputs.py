"""The corpus of unusable requests, but for their pictures: what is sent, and status, code and pointer of the answer."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from tests.api import pictures

POINTS: list[Any] = [[100 + 5 * i, 40 + 9 * i] for i in range(18)]
POSE: dict[str, Any] = {"keypoints": POINTS, "size": [256, 256]}
GOOD_PNG = pictures.png()
GOOD_BODY: dict[str, Any] = {"source": {"data": base64.b64encode(GOOD_PNG).decode()}, "pose": POSE, "seed": 1}
FORM_TYPE = "multipart/form-data; boundary=xx"


@dataclass(frozen=True)
class BadInput:
    """One request and its answer.

    Attributes:
        name: the pytest id.
        status, code: of the answer.
        pointer: of the first field at fault; None where no field is named.
        content, headers: the body as it is sent.
    """

    name: str
    status: int
    code: str
    pointer: str | None
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


def as_json(content: bytes | dict[str, Any]) -> dict[str, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"content": body, "headers": {"Content-Type": "application/json"}}


def part(name: str, content: bytes, *, is_file: bool = True, content_type: str = "") -> bytes:
    disposition = f'form-data; name="{name}"' + ('; filename="a.bin"' if is_file else "")
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"--xx\r\nContent-Disposition: {disposition}\r\n{kind}\r\n".encode() + content + b"\r\n"


SOURCE, SKELETON = part("source", GOOD_PNG), part("pose", GOOD_PNG)
JSON_POSE = part("pose", json.dumps(POSE).encode(), is_file=False)


_PHOTO = part("pose_kind", b"photo", is_file=False)


def as_form(*parts: bytes, end: bytes = b"--xx--\r\n") -> dict[str, Any]:
    return {"content": b"".join(parts) + end, "headers": {"Content-Type": FORM_TYPE}}


def _with(**changes: Any) -> dict[str, Any]:
    return as_json(GOOD_BODY | changes)


def _raw(old: str, new: str) -> dict[str, Any]:
    """The good body with a piece of its text replaced: what json.dumps would not write."""
    text = json.dumps(GOOD_BODY)
    assert old in text
    return as_json(text.replace(old, new, 1).encode())


def _scalar(name: str, value: str) -> dict[str, Any]:
    return as_form(SOURCE, JSON_POSE, part(name, value.encode(), is_file=False))


def _points(*entries: Any, **pose: Any) -> dict[str, Any]:
    """A pose whose first points are these."""
    return _with(pose=POSE | {"keypoints": [*entries, *POINTS[len(entries) :]]} | pose)


VALUES = [
    BadInput("steps-negative", 422, "validation", "/steps", **_with(steps=-5)),
    BadInput("steps-one", 422, "validation", "/steps", **_with(steps=1)),
    BadInput("steps-251", 422, "validation", "/steps", **_with(steps=251)),
    BadInput("steps-text", 422, "validation", "/steps", **_with(steps="20")),
    BadInput("steps-fraction", 422, "validation", "/steps", **_with(steps=20.5)),
    BadInput("steps-bool", 422, "validation", "/steps", **_with(steps=True)),
    BadInput("seed-negative", 422, "validation", "/seed", **_with(seed=-1)),
    BadInput("seed-2^53", 422, "validation", "/seed", **_with(seed=2**53)),
    BadInput("seed-of-last-image-2^53", 422, "validation", "/seed", **_with(seed=2**53 - 7, num_images=8)),
    BadInput("images-0", 422, "validation", "/num_images", **_with(num_images=0)),
    BadInput("images-9", 422, "validation", "/num_images", **_with(num_images=9)),
    BadInput("images-text", 422, "validation", "/num_images", **_with(num_images="2")),
    BadInput("images-2.5", 422, "validation", "/num_images", **_with(num_images=2.5)),
    BadInput("guidance-below-1", 422, "validation", "/guidance", **_with(guidance=0.5)),
    BadInput("guidance-nan", 422, "validation", "/seed", **_raw('"seed": 1', '"seed": NaN')),
    BadInput("guidance-infinity", 422, "validation", "/guidance", **_raw('"seed": 1', '"guidance": Infinity')),
    BadInput("guidance-1e999", 422, "validation", "/guidance", **_raw('"seed": 1', '"guidance": 1e999')),
    BadInput("guidance-huge-integer", 422, "validation", "/guidance", **_with(guidance=10**400)),
    BadInput("sampler-unknown", 422, "validation", "/sampler", **_with(sampler="euler")),
    BadInput("preset-unknown", 422, "validation", "/preset", **_with(preset="best")),
    BadInput("preset-number", 422, "validation", "/preset", **_with(preset=1)),
    BadInput("preset-not-offered", 422, "unavailable_preset", "/preset", **_with(preset="fast")),
    BadInput("form-preset-not-offered", 422, "unavailable_preset", "/preset", **_scalar("preset", "fast")),
    BadInput("model-unknown", 422, "unknown_model", "/model", **_with(model="xxl")),
    BadInput("model-number", 422, "validation", "/model", **_with(model=3)),
    BadInput("format-gif", 422, "validation", "/output/format", **_with(output={"format": "gif"})),
    BadInput("quality-0", 422, "validation", "/output/quality", **_with(output={"format": "jpeg", "quality": 0})),
    BadInput("quality-of-png", 422, "validation", "/output/quality", **_with(output={"quality": 50})),
    BadInput("delivery-unknown", 422, "validation", "/output/delivery", **_with(output={"delivery": "mail"})),
    BadInput("fit-unknown", 422, "validation", "/output/fit", **_with(output={"fit": "crop"})),
    BadInput("form-fit-unknown", 422, "validation", "/output/fit", **_scalar("fit", "crop")),
    BadInput("form-delivery-unknown", 422, "validation", "/output/delivery", **_scalar("delivery", "mail")),
    BadInput("priority-unknown", 422, "validation", "/priority", **_with(priority="urgent")),
    BadInput("deadline-99-ms", 422, "validation", "/deadline_ms", **_with(deadline_ms=99)),
    BadInput("deadline-over-a-day", 422, "validation", "/deadline_ms", **_with(deadline_ms=86_400_001)),
    BadInput("deadline-fraction", 422, "validation", "/deadline_ms", **_with(deadline_ms=1000.5)),
    BadInput("retention-59-s", 422, "validation", "/retention_s", **_with(retention_s=59)),
    BadInput("retention-over-a-day", 422, "validation", "/retention_s", **_with(retention_s=86_401)),
    BadInput("form-retention-over-a-day", 422, "validation", "/retention_s", **_scalar("retention_s", "86401")),
    BadInput("metadata-list", 422, "validation", "/metadata", **_with(metadata=[])),
    BadInput("metadata-17-keys", 422, "validation", "/metadata", **_with(metadata={str(i): "" for i in range(17)})),
    BadInput("metadata-key-of-0", 422, "validation", "/metadata", **_with(metadata={"": "x"})),
    BadInput("metadata-key-of-41", 422, "validation", "/metadata", **_with(metadata={41 * "k": "x"})),
    BadInput("metadata-text-of-501", 422, "validation", "/metadata/a~1b", **_with(metadata={"a/b": 501 * "x"})),
    BadInput("metadata-number", 422, "validation", "/metadata/sku", **_with(metadata={"sku": 1})),
    BadInput("form-metadata-flat", 422, "validation", "/metadata", **_scalar("metadata", "{}")),
    BadInput("preview-each-51", 422, "validation", "/preview/every_steps", **_with(preview={"every_steps": 51})),
    BadInput("preview-number", 422, "validation", "/preview", **_with(preview=10)),
    BadInput("field-unknown", 422, "validation", "/colour", **_with(colour="red")),
    BadInput("field-unknown-nested", 422, "validation", "/source/colour", **_with(source={"data": "", "colour": 1})),
    BadInput("source-id-of-none", 422, "validation", "/source/id", **_with(source={"id": "src_" + "0" * 32})),
    BadInput("source-id-of-a-pose", 422, "validation", "/source/id", **_with(source={"id": "pos_" + "0" * 32})),
    BadInput("source-id-malformed", 422, "validation", "/source/id", **_with(source={"id": "src_0"})),
    BadInput("source-id-number", 422, "validation", "/source/id", **_with(source={"id": 7})),
    BadInput("source-id-and-data", 422, "validation", "/source",
             **_with(source=GOOD_BODY["source"] | {"id": "src_" + "0" * 32})),
    BadInput("source-empty-object", 422, "validation", "/source", **_with(source={})),
    BadInput("source-url-of-later", 422, "validation", "/source/url", **_with(source={"url": "http://x"})),
    BadInput("pose-id-of-none", 422, "validation", "/pose/id", **_with(pose={"id": "pos_" + "0" * 32})),
    BadInput("pose-id-and-points", 422, "validation", "/pose", **_with(pose=POSE | {"id": "pos_" + "0" * 32})),
    BadInput("pose-id-and-size", 422, "validation", "/pose", **_with(pose={"id": "pos_0", "size": [256, 256]})),
    BadInput("form-source-id-of-none", 422, "validation", "/source/id",
             **as_form(JSON_POSE, part("source_id", b"src_0", is_file=False))),
    BadInput("form-source-id-and-file", 422, "validation", "/source",
             **as_form(SOURCE, JSON_POSE, part("source_id", b"src_0", is_file=False))),
    BadInput("form-pose-id-and-preset", 422, "validation", "/pose",
             **as_form(SOURCE, *(part(name, b"back", is_file=False) for name in ("pose_id", "pose_preset")))),
    BadInput("source-null", 422, "validation", "/source", **_with(source=None)),
    BadInput("source-not-base64", 422, "validation", "/source/data", **_with(source={"data": "@@@"})),
    BadInput("source-empty", 415, "image_type", "/source", **_with(source={"data": ""})),
    BadInput("pose-empty-object", 422, "validation", "/pose", **_with(pose={})),
    BadInput("pose-both-forms", 422, "validation", "/pose", **_with(pose=POSE | {"skeleton": GOOD_BODY["source"]})),
    BadInput("pose-photo-empty", 415, "image_type", "/pose", **_with(pose={"photo": {"data": ""}})),
    BadInput("pose-photo-number", 422, "validation", "/pose/photo", **_with(pose={"photo": 3})),
    BadInput("pose-photo-frame-unknown", 422, "validation", "/pose/photo/frame",
             **_with(pose={"photo": GOOD_BODY["source"] | {"frame": "head"}})),
    BadInput("pose-photo-of-nobody", 422, "no_person", "/pose", **_with(pose={"photo": GOOD_BODY["source"]})),
    BadInput("pose-photo-and-skeleton", 422, "validation", "/pose",
             **_with(pose={"photo": GOOD_BODY["source"], "skeleton": GOOD_BODY["source"]})),
    BadInput("pose-photo-with-size", 422, "validation", "/pose",
             **_with(pose={"photo": GOOD_BODY["source"], "size": [256, 256]})),
    BadInput("crop-unknown", 422, "validation", "/source/crop", **_with(source=GOOD_BODY["source"] | {"crop": "face"})),
    BadInput("crop-of-nobody", 422, "no_person", "/source", **_with(source=GOOD_BODY["source"] | {"crop": "person"})),
    BadInput("crop-of-an-id", 422, "validation", "/source/crop",
             **_with(source={"id": "src_" + "0" * 32, "crop": "person"})),
    BadInput("pose-skeleton-with-size", 422, "validation", "/pose",
             **_with(pose={"skeleton": GOOD_BODY["source"], "size": [1, 1]})),
]  # fmt: skip

POSES = [
    BadInput("points-17", 422, "keypoints_format", "/pose/keypoints", **_with(pose=POSE | {"keypoints": POINTS[:17]})),
    BadInput(
        "points-19", 422, "keypoints_format", "/pose/keypoints", **_with(pose=POSE | {"keypoints": [*POINTS, None]})
    ),
    BadInput("points-none", 422, "keypoints_format", "/pose/keypoints", **_with(pose=POSE | {"keypoints": []})),
    BadInput("points-text", 422, "validation", "/pose/keypoints", **_with(pose=POSE | {"keypoints": "18 of them"})),
    BadInput("point-object", 422, "keypoints_format", "/pose/keypoints/0", **_points({"x": 1, "y": 2})),
    BadInput("point-of-1", 422, "keypoints_format", "/pose/keypoints/1", **_points(None, [1])),
    BadInput("point-of-4", 422, "keypoints_format", "/pose/keypoints/0", **_points([1, 2, 1, 1])),
    BadInput("point-nested", 422, "keypoints_format", "/pose/keypoints/0/0", **_points([[1], 2])),
    BadInput("point-of-texts", 422, "keypoints_format", "/pose/keypoints/2/0", **_points(None, None, ["1", "2"])),
    BadInput("point-bool", 422, "keypoints_format", "/pose/keypoints/0/1", **_points([1, True])),
    BadInput("point-nan", 422, "validation", "/pose/keypoints/0/0", **_raw("[100, 40]", "[NaN, 40]")),
    BadInput("point-1e999", 422, "validation", "/pose/keypoints/0/1", **_raw("[100, 40]", "[100, -1e999]")),
    BadInput("point-1e300", 422, "keypoints_format", "/pose/keypoints/0/1", **_points([1, 1e300])),
    BadInput("score-2", 422, "keypoints_format", "/pose/keypoints/0/2", **_points([1, 2, 2])),
    BadInput("score-minus-1", 422, "keypoints_format", "/pose/keypoints/0/2", **_points([1, 2, -1])),
    BadInput("points-all-missing", 422, "pose_too_sparse", "/pose/keypoints", **_points(*[None] * 18)),
    BadInput("points-2-seen", 422, "pose_too_sparse", "/pose/keypoints", **_points(*[[-1, -1]] * 8, *[[9, 9, 0]] * 8)),
    BadInput("points-all-equal", 422, "pose_too_sparse", "/pose/keypoints", **_points(*[[50, 50]] * 18)),
    BadInput("point-10-frames-off", 422, "pose_out_of_frame", "/pose/keypoints/0", **_points([2560, 40])),
    BadInput("size-missing", 422, "validation", "/pose/size", **_with(pose={"keypoints": POINTS})),
    BadInput("size-zero", 422, "validation", "/pose/size/0", **_points(size=[0, 256])),
    BadInput("size-of-3", 422, "validation", "/pose/size", **_points(size=[256, 256, 256])),
    BadInput("origin-text", 422, "validation", "/pose/origin/1", **_points(origin=[0, "0"])),
]

SYNTAX = [
    BadInput("json-cut", 400, "malformed_request", None, **as_json(b'{"source": ')),
    BadInput("json-empty", 400, "malformed_request", None, **as_json(b"")),
    BadInput("json-trailing", 400, "malformed_request", None, **as_json(b"{} {}")),
    BadInput("json-nul", 400, "malformed_request", None, **as_json(b"{}\0")),
    BadInput("json-utf16", 400, "malformed_request", None, **as_json("{}".encode("utf-16"))),
    BadInput("json-bom", 400, "malformed_request", None, **as_json(b"\xef\xbb\xbf{}")),
    BadInput("json-not-utf8", 400, "malformed_request", None, **as_json(b'{"model": "\xff"}')),
    BadInput("json-double-key", 400, "malformed_request", None, **_raw('"seed": 1', '"seed": 1, "seed": 2')),
    BadInput("json-deep", 400, "malformed_request", None, **as_json(b'{"model": ' + b"[" * 100_000)),
    BadInput("json-5000-digits", 400, "malformed_request", None, **_raw('"seed": 1', '"seed": ' + "9" * 5000)),
    BadInput("json-5000-decimals", 400, "malformed_request", None, **_raw('"seed": 1', '"guidance": 1.' + "0" * 5000)),
    BadInput("json-array", 422, "validation", "", **as_json(b"[]")),
    BadInput("json-null", 422, "validation", "", **as_json(b"null")),
    BadInput("json-surrogate", 422, "validation", "/model", **_raw('"seed": 1', '"model": "\\ud800"')),
    BadInput("json-empty-object", 422, "validation", "/source", **as_json(b"{}")),
    BadInput("json-300-kb", 413, "body_too_large", None, **_with(model="x" * 300_000)),
    BadInput("json-million-points", 413, "body_too_large", None, **_with(pose=POSE | {"keypoints": [None] * 10**5})),
    BadInput("body-over-12-mb", 413, "body_too_large", None, **as_json(b" " * 12_000_001)),
    BadInput("type-none", 415, "media_type", None, b"{}"),
    BadInput("type-text", 415, "media_type", None, b"{}", {"Content-Type": "text/plain"}),
    BadInput("type-urlencoded", 415, "media_type", None, b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}),
    BadInput("type-json-lies", 400, "malformed_request", None, **as_json(GOOD_PNG)),
    BadInput(
        "type-gzip", 415, "media_type", None, b"", {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    ),
]

FORMS = [
    BadInput("form-no-boundary", 400, "malformed_request", None, SOURCE, {"Content-Type": "multipart/form-data"}),
    BadInput("form-long-boundary", 400, "malformed_request", None, SOURCE, {"Content-Type": FORM_TYPE + "x" * 70}),
    BadInput("form-other-boundary", 400, "malformed_request", None, SOURCE, {"Content-Type": FORM_TYPE + "y"}),
    BadInput("form-empty", 400, "malformed_request", None, b"", {"Content-Type": FORM_TYPE}),
    BadInput("form-unfinished", 400, "malformed_request", None, **as_form(SOURCE, SKELETON, end=b"")),
    BadInput("form-part-without-name", 400, "malformed_request", None, **as_form(b"--xx\r\nA: b\r\n\r\nx\r\n")),
    BadInput("form-base64-part", 400, "malformed_request", None, **as_form(
        b'--xx\r\nContent-Disposition: form-data; name="source"\r\nContent-Transfer-Encoding: base64\r\n\r\nAA\r\n')),
    BadInput("json-257-members", 400, "malformed_request", None, **_with(**{f"f{i}": 0 for i in range(254)})),
    BadInput("form-33-fields", 400, "malformed_request", None, **as_form(
        *(part(f"f{i}", b"", is_file=False) for i in range(33)))),
    BadInput("form-70-kb-before", 400, "malformed_request", None, **as_form(b"x" * 70_000 + b"\r\n", SOURCE, SKELETON)),
    BadInput("form-million-line-ends", 422, "validation", "/source", **as_form(b"\r\n" * 10**6)),
    BadInput("form-million-dashes", 400, "malformed_request", None, **as_form(b"--x" * 10**6)),
    BadInput("form-endless-header", 400, "malformed_request", None, **as_form(
        b"--xx\r\nContent-Disposition: form-data; " + b"a=b; " * 10**6)),
    BadInput("form-many-headers", 400, "malformed_request", None, **as_form(
        b"--xx\r\n" + b"A: b\r\n" * 200_000 + b"\r\nx\r\n")),
    BadInput("form-1500-parts", 400, "malformed_request", None, **as_form(*[part("x", b"")] * 1500)),
    BadInput("form-3-files", 400, "malformed_request", None, **as_form(SOURCE, SKELETON, part("other", b""))),
    BadInput("form-source-missing", 422, "validation", "/source", **as_form(SKELETON)),
    BadInput("form-pose-missing", 422, "validation", "/pose", **as_form(SOURCE)),
    BadInput("form-source-twice", 422, "validation", "/source", **as_form(SOURCE, SOURCE)),
    BadInput("form-steps-twice", 422, "validation", "/steps", **as_form(
        SOURCE, SKELETON, *[part("steps", b"20", is_file=False)] * 2)),
    BadInput("form-steps-flat-and-in-params", 422, "validation", "/steps", **as_form(
        SOURCE, SKELETON, part("steps", b"20", is_file=False), part("params", b'{"steps": 20}', is_file=False))),
    BadInput("form-file-name-is-a-path", 422, "validation", "/~1etc~1passwd", **as_form(
        SOURCE, JSON_POSE, part("/etc/passwd", b"x"))),
    BadInput("form-field-unknown", 422, "validation", "/colour", **_scalar("colour", "red")),
    BadInput("form-pose-kind-of-key-points", 422, "validation", "/pose_kind", **as_form(SOURCE, JSON_POSE, _PHOTO)),
    BadInput("form-pose-kind-unknown", 422, "validation", "/pose_kind", **_scalar("pose_kind", "depth")),
    BadInput("form-pose-photo-of-nobody", 422, "no_person", "/pose", **as_form(SOURCE, SKELETON, _PHOTO)),
    BadInput("form-pose-photo-cut", 422, "image_invalid", "/pose",
             **as_form(SOURCE, part("pose", GOOD_PNG[:-40]), _PHOTO)),
    BadInput("form-pose-frame-unknown", 422, "validation", "/pose/photo/frame",
             **as_form(SOURCE, SKELETON, _PHOTO, part("pose_frame", b"head", is_file=False))),
    BadInput("form-pose-frame-of-a-skeleton", 422, "validation", "/pose_frame", **as_form(
        SOURCE, SKELETON, part("pose_frame", b"person", is_file=False))),
    BadInput("form-pose-frame-of-points", 422, "validation", "/pose_frame", **_scalar("pose_frame", "person")),
    BadInput("form-crop-unknown", 422, "validation", "/source/crop", **_scalar("source_crop", "face")),
    BadInput("form-crop-of-nobody", 422, "no_person", "/source", **_scalar("source_crop", "person")),
    BadInput("form-crop-of-an-id", 422, "validation", "/source_crop", **as_form(
        JSON_POSE, part("source_id", b"src_0", is_file=False), part("source_crop", b"person", is_file=False))),
    BadInput("form-pose-id-and-points", 422, "validation", "/pose", **_scalar("pose_id", "pos_0")),
    BadInput("form-steps-negative", 422, "validation", "/steps", **_scalar("steps", "-5")),
    BadInput("form-steps-words", 422, "validation", "/steps", **_scalar("steps", "many")),
    BadInput("form-deadline-words", 422, "validation", "/deadline_ms", **_scalar("deadline_ms", "soon")),
    BadInput("form-guidance-nan", 422, "validation", "/guidance", **_scalar("guidance", "NaN")),
    BadInput("form-guidance-1e999", 422, "validation", "/guidance", **_scalar("guidance", "1e999")),
    BadInput("form-format-gif", 422, "validation", "/output/format", **_scalar("format", "gif")),
    BadInput("form-params-not-json", 400, "malformed_request", None, **_scalar("params", "{")),
    BadInput("form-pose-not-json", 400, "malformed_request", "/pose", **as_form(
        SOURCE, part("pose", b"{", is_file=False))),
    BadInput("form-pose-nan", 422, "validation", "/pose/size/0", **as_form(
        SOURCE, part("pose", b'{"size": [NaN, 1]}', content_type="application/json"))),
    BadInput("form-pose-17-points", 422, "keypoints_format", "/pose/keypoints", **as_form(
        SOURCE, part("pose", json.dumps(POSE | {"keypoints": POINTS[:17]}).encode(), is_file=False))),
    BadInput("form-params-300-kb", 413, "body_too_large", None, **_scalar(
        "params", '{"model": "' + "x" * 300_000 + '"}')),
]  # fmt: skip

INPUTS = [*VALUES, *POSES, *SYNTAX, *FORMS]
