"""What every request body has in common: exactly the fields that are known, of exactly their types, and what is wrong.

The bodies themselves are `service.api.schemas` and `service.api.pose_schemas`.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from service.api.strict_json import escape
from service.domain.errors import FieldIssue, RequestError

# Part of the contract but not of this version: naming them is kinder than "unknown".
LATER_FIELDS = frozenset({"/source/url"})
# Forms of a pose that tell no key points by themselves: no way leads from one to the other.
NO_POINTS = frozenset({"between", "skeleton", "photo", "id"})
_MAX_ISSUES = 20
# The longest name of a field has 40 characters; of a longer one this much tells which it is.
_MAX_POINTER_PART = 64
_PYDANTIC_SUBJECT = re.compile(r"\b(Input|Value|String|List|Dictionary) should")


def _decode_base64(value: object) -> object:
    """Text becomes bytes; the bytes of a form's file pass as they are."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "must be standard base64 (RFC 4648, section 4, with padding)") from None


def _whole(value: object) -> object:
    """A number without a fraction is an integer, as JSON Schema has it, however it is written."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""After the range in an `Annotated`, so that the range is described too."""
PictureFile = Annotated[
    bytes,
    BeforeValidator(_decode_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "PNG, JPEG or WebP file"}),
]


class Body(BaseModel):
    """What a client sends: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_AnyBody = TypeVar("_AnyBody", bound=Body)


class PictureBody(Body):
    """A picture file inside of JSON."""

    data: PictureFile


def one_of(*names: str) -> ConfigDict:
    """For the description: exactly one of these fields is there."""
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in names]})


def validated(model: type[_AnyBody], fields: dict[str, Any]) -> _AnyBody:
    """The fields as this model; RequestError `validation` with a pointer for each at fault, at most 20."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        issues = tuple(_issue(details) for details in error.errors(include_url=False)[:_MAX_ISSUES])
        raise invalid(issues) from None


def check_forms(pointer: str, body: Body, names: Sequence[str]) -> None:
    """RequestError `validation` unless exactly one of these fields is there; pointer: of the body."""
    if sum(getattr(body, name) is not None for name in names) != 1:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise invalid([FieldIssue(pointer, f"must hold exactly one of {listed}")])


def invalid(issues: Sequence[FieldIssue]) -> RequestError:
    """`validation` of these fields, of which the first is told at once."""
    first = issues[0]
    return RequestError("validation", f"{first.pointer or 'the body'} {first.detail}", tuple(issues))


def _issue(details: ErrorDetails) -> FieldIssue:
    location, message = details["loc"], details["msg"]
    if location[-1:] == ("[key]",):
        location, message = location[:-2], "each key: " + message
    pointer = "".join(f"/{escape(str(part)[:_MAX_POINTER_PART])}" for part in location)
    if details["type"] == "extra_forbidden" and location[-2:-1] in (("from",), ("to",)) and location[-1] in NO_POINTS:
        return FieldIssue(pointer, "can't be here: name a preset, or send key points")
    if details["type"] == "extra_forbidden":
        known = "is not available in this version" if pointer in LATER_FIELDS else "is not a field of this request"
        return FieldIssue(pointer, known)
    if details["type"] == "missing":
        return FieldIssue(pointer, "is required")
    return FieldIssue(pointer, _PYDANTIC_SUBJECT.sub("must", message))
