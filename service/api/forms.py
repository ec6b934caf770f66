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
# What goes with a file: its own part, and where in that the field stands.
_WITH_FILES = {"source_crop": ("source", "crop"), "pose_frame": ("pose", "photo", "frame")}
_OUTPUT = frozenset({"format", "quality", "delivery", "fit"})


def form_fields(parts: Sequence[Part], limits: UploadLimits) -> dict[str, Any]:
    """Arrange the parts as the JSON body would be.

    Args:
        parts: `source` and `pose` as files (or `pose` as JSON text), `params` as JSON, and flat scalar fields, of which
            `source_id`, `pose_id` and `pose_preset` stand for those files, `pose_size`, `pose_mirror` and `pose_fit` go
            with a pose, `pose_kind` says what the file `pose` is, and `source_crop` and `pose_frame` go with files.
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
    kind = _pose_kind(pose_kind)
    with_files = {name: _text(named.pop(name)) for name in _WITH_FILES if name in named}
    references = {name: named.pop(name) for name in _REFERENCES if name in named}
    with_pose = {name: named.pop(name) for name in _OF_THE_POSE if name in named}
    for name, part in named.items():
        _place(fields, name, _value(part, limits, kind))
    if pose_kind and not (isinstance(fields.get("pose"), dict) and kind in fields["pose"]):
        raise RequestError.of_field("validation", "/pose_kind", "goes with the file pose, which is to be a picture")
    for name, part in references.items():
        home, key = _REFERENCES[name]
        _place(fields, home, {key: _text(part)})
    for name, part in with_pose.items():
        _place(fields, name, _of_a_pose(_text(part)))
    for name, text in with_files.items():
        _place_with_file(fields, name, text)
    return fields


def _check_single(parts: Sequence[Part]) -> None:
    names = [part.name for part in parts]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise RequestError.of_field("validation", f"/{name[:64]}", "is given twice")


def _pose_kind(part: Part | None) -> str:
    kind = _text(part) if part else "skeleton"
    if kind not in ("skeleton", "photo"):
        raise RequestError.of_field("validation", "/pose_kind", "must be skeleton or photo")
    return kind


def _value(part: Part, limits: UploadLimits, pose_kind: str) -> Any:
    if part.name == "source":
        return {"data": bytes(part.content)}
    if part.name == "pose":
        # By its first bytes too: curl calls a .json file application/octet-stream, and other clients name no file.
        content = bytes(part.content)
        is_text = content.lstrip().startswith(b"{") or not (part.is_file or picture_format(content))
        is_json = is_text or part.content_type == "application/json"
        return _pose(content, limits) if is_json else {pose_kind: {"data": content}}
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


def _place_with_file(fields: dict[str, Any], name: str, text: str) -> None:
    """Set a field of a file that is there already."""
    *path, key = _WITH_FILES[name]
    home: Any = fields
    for step in path:
        home = home.get(step) if isinstance(home, dict) else None
    if not isinstance(home, dict) or "data" not in home or key in home:
        file = "the file source" if path[-1] == "source" else "the file pose, with pose_kind=photo"
        raise RequestError.of_field("validation", f"/{name}", f"goes with {file}, and is given once")
    home[key] = text
