"""A multipart form becomes the fields of the JSON body: one vocabulary, two ways to write it.

It places values and turns digits into numbers; ranges and names are checked by `service.api.schemas`.
"""

import re
from collections.abc import Sequence
from typing import Any

from service.api.limits import UploadLimits
from service.api.multipart import Part
from service.api.picture_headers import picture_format
from service.api.strict_json import parse_object
from service.domain.errors import RequestError

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,400})(\.\d{1,400})?([eE][+-]?\d{1,9})?", re.ASCII)
_NUMERIC = frozenset({"seed", "num_images", "steps", "guidance", "quality", "deadline_ms", "retention_s"})
# The longest scalar is a model's name of 64 characters; what is cut here is too long for every field.
_MAX_SCALAR_BYTES = 1000
# What stands in place of a file, and where it belongs.
_REFERENCES = {"source_id": ("source", "id"), "pose_id": ("pose", "id"), "pose_preset": ("pose", "preset")}
# What goes with a pose, in whatever way it is given, and its name there.
_OF_THE_POSE = {"pose_size": "size", "pose_mirror": "mirror", "pose_fit": "fit"}
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)
_OUTPUT = frozenset({"format", "quality", "delivery", "fit"})


def form_fields(parts: Sequence[Part], limits: UploadLimits) -> dict[str, Any]:
    """Arrange the parts as the JSON body would be.

    Args:
        parts: `source` and `pose` as files (or `pose` as JSON text), `params` as JSON, and flat scalar fields, of which
            `source_id`, `pose_id` and `pose_preset` stand for those files, and `pose_size`, `pose_mirror` and
            `pose_fit` go with a pose.
        limits: of text fields.

    Returns:
        Fields for `check_body`, with files as bytes.

    Raises:
        RequestError: `validation` for a field given twice or in the wrong form; `malformed_request` or
            `body_too_large` for its JSON.
    """
    _check_single(parts)
    named = {part.name: part for part in parts}
    params = named.pop("params", None)
    fields = parse_object(bytes(params.content), limits.max_json_bytes) if params else {}
    pose_kind = named.pop("pose_kind", None)
    if pose_kind:
        _check_pose_kind(_text(pose_kind))
    references = {name: named.pop(name) for name in _REFERENCES if name in named}
    with_pose = {name: named.pop(name) for name in _OF_THE_POSE if name in named}
    for name, part in named.items():
        _place(fields, name, _value(part, limits))
    for name, part in references.items():
        home, key = _REFERENCES[name]
        _place(fields, home, {key: _text(part)})
    for name, part in with_pose.items():
        _place(fields, name, _of_a_pose(_text(part)))
    return fields


def _check_single(parts: Sequence[Part]) -> None:
    names = [part.name for part in parts]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise RequestError.of_field("validation", f"/{name[:64]}", "is given twice")


def _check_pose_kind(kind: str) -> None:
    if kind != "skeleton":
        detail = "is not available in this version" if kind == "photo" else "must be skeleton"
        raise RequestError.of_field("validation", "/pose_kind", detail)


def _value(part: Part, limits: UploadLimits) -> Any:
    if part.name == "source":
        return {"data": bytes(part.content)}
    if part.name == "pose":
        # By its first bytes too: curl calls a .json file application/octet-stream, and other clients name no file.
        content = bytes(part.content)
        is_text = content.lstrip().startswith(b"{") or not (part.is_file or picture_format(content))
        is_json = is_text or part.content_type == "application/json"
        return _pose(content, limits) if is_json else {"skeleton": {"data": content}}
    text = _text(part)
    match = _NUMBER.fullmatch(text) if part.name in _NUMERIC else None
    if not match:
        return text
    is_integer = match[1] is None and match[2] is None
    return int(text) if is_integer else float(text)


def _pose(content: bytes, limits: UploadLimits) -> Any:
    """The pose as JSON text; its errors point below the field."""
    try:
        return parse_object(content, limits.max_json_bytes)
    except RequestError as error:
        issues = tuple((f"/pose{issue.pointer}", issue.detail) for issue in error.issues) or (("/pose", error.detail),)
        raise RequestError.of_field(error.code, *issues[0]) from None


def _text(part: Part) -> str:
    """A scalar's text; bytes that are not UTF-8 become a text that no scalar field accepts."""
    return part.content[:_MAX_SCALAR_BYTES].decode("utf-8", "replace")


def _of_a_pose(text: str) -> Any:
    """True, false or a size; another text is no value of such a field."""
    size = _SIZE.fullmatch(text)
    return [int(size[1]), int(size[2])] if size else {"true": True, "false": False}.get(text, text)


def _place(fields: dict[str, Any], name: str, value: Any) -> None:
    """Set a field, flat or below `output` or `pose`, that nothing has set already."""
    home, key = fields, name
    if name in _OUTPUT:
        home = fields.setdefault("output", {})
    elif name in _OF_THE_POSE:
        home, key = fields.setdefault("pose", {}), _OF_THE_POSE[name]
    if not isinstance(home, dict) or key in home:
        raise RequestError.of_field("validation", f"/{name[:64]}", "is given twice, in two ways")
    home[key] = value
