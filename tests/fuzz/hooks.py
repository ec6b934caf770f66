"""What schemathesis is told of this API that its description can't say: pictures that can be decoded, and lines.

Loaded by schemathesis itself (`SCHEMATHESIS_HOOKS`). Only cases that are to be accepted are changed here; those
that are to be refused stay as they were drawn.
"""

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

import schemathesis
from schemathesis.generation.modes import GenerationMode

from service.gateway.pose_presets import POSE_PRESETS
from tests.api import pictures
from tests.api.bad_poses import COCO, HALFWAY, OPENPOSE, ROW

PICTURE = pictures.png()
_DATA = {"data": base64.b64encode(PICTURE).decode()}
_POSES: tuple[dict[str, Any], ...] = (
    {"preset": "back"},
    {"skeleton": _DATA},
    {
        "keypoints": [list(point) if point else None for point in POSE_PRESETS["standing"].key_points.points],
        "size": [256, 256],
    },
    {"openpose": OPENPOSE, "mirror": True, "fit": {"margin": 0.2}},
    COCO | {"scale": 0.5, "shift": [20, -20]},
    {"deepfashion": ROW},
    {"between": HALFWAY, "fit": True},
)
_LINE = '{"source": {"id": "src_00000000000000000000000000000000"}, "pose": {"preset": "back"}}\n'
_DAY_MS = 86_400_000


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


@schemathesis.deserializer("application/x-ndjson")
def first_line(_context: Any, response: Any) -> Any:
    """Each line has the form that is described, so one is checked; none is as good as any."""
    found = [line for line in response.content.splitlines() if line]
    return json.loads(found[0]) if found else {"n": 1, "custom_id": "a", "status": "cancelled"}


@schemathesis.hook
def before_load_schema(_context: Any, raw_schema: dict[str, Any]) -> None:
    """Files are drawn as text: the way in which binary ones are drawn can't be mutated (schemathesis 4.32)."""
    for schema in _schemas(raw_schema):
        if schema.get("format") == "binary":
            del schema["format"]


def _schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _schemas(child)


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Whatever stands in a line, a batch is accepted, in which that item fails."""
    return case.media_type != "application/x-ndjson" or _is_positive(case)


def _is_positive(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


@schemathesis.hook
def map_case(_context: Any, case: Any) -> Any:
    """Give a case that is to be accepted what makes it acceptable."""
    if not _is_positive(case):
        return case
    headers = case.headers or {}
    if "Idempotency-Key" in headers:
        # A key that has been used for another request would rightly be refused.
        headers["Idempotency-Key"] = uuid.uuid4().hex
    headers.pop("Range", None)
    query = case.query or {}
    query.pop("cursor", None)
    if "on_invalid" in query:
        query["on_invalid"] = "fail_item"
    if case.media_type == "application/x-ndjson":
        case.body = _LINE
    elif isinstance(case.body, dict):
        _mend_body(case)
    return case


def _mend_body(case: Any) -> None:
    path, body = case.operation.path, case.body
    is_form = case.media_type == "multipart/form-data"
    if path in ("/generate", "/v1/generate", "/v1/jobs"):
        _mend_form(body) if is_form else _mend_generation(body)
    elif path == "/v1/batches":
        body.pop("webhook", None)
        body.pop("items", None)
        body.update(matrix={"sources": [{"id": "src_" + "0" * 32}], "poses": [{"preset": "back"}]}, defaults={})
        body["on_invalid"] = "fail_item"
    elif path == "/v1/sources":
        body.clear()
        body.update({"source": PICTURE} if is_form else _DATA)
    elif path == "/v1/poses/between":
        body.update({"from": _POSES[0], "to": _POSES[3]})
    elif path == "/v1/poses":
        body.clear()
        body.update({"pose": PICTURE} if is_form else _POSES[0])


def _mend_generation(body: dict[str, Any]) -> None:
    body["source"] = _DATA
    body["pose"] = _POSES[int(body.get("steps") or 0) % len(_POSES)]
    for name in ("model", "webhook", "seed"):
        body.pop(name, None)
    if isinstance(body.get("output"), dict):
        body["output"].pop("quality", None)
    body["deadline_ms"] = _DAY_MS
    body["steps"] = 2


def _mend_form(body: dict[str, Any]) -> None:
    body.clear()
    body.update(source=PICTURE, pose_preset="back", steps=2)
