"""JSON by RFC 8259 and nothing more: what other parsers let pass is refused here.

It checks form, not meaning: which fields there may be is up to `service.api.schemas`.
"""

import json
import math
import re
from collections import Counter
from typing import Any

from service.domain.errors import FieldIssue, RequestError

MAX_DEPTH = 32
MAX_MEMBERS = 256
# CPython's own bound on int(text), applied to floats too: converting digits costs quadratic time.
_MAX_DIGITS = 4300
_DATA_TEXT = re.compile(rb'"data"\s*:\s*"([^"\\]*)"')
# A text that never ends reaches to the end of the body and is never tried twice: the time is linear in the size.
_BRACKET_OR_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def parse_object(content: bytes, max_bytes: int) -> dict[str, Any]:
    """Parse one JSON object.

    Args:
        content: UTF-8 text.
        max_bytes: largest size, the `data` texts not counted.

    Returns:
        The object; every number in it is finite, every text is valid Unicode, no key is repeated.

    Raises:
        RequestError: `body_too_large`, `malformed_request` (not JSON, nested too deep, too many members of an object, a
            repeated key, a number of too many digits), or `validation` (not an object, a number that is not finite, a
            lone surrogate).
    """
    num_bytes = len(content) - sum(match.end(1) - match.start(1) for match in _DATA_TEXT.finditer(content))
    if num_bytes > max_bytes:
        raise RequestError(
            "body_too_large", f"JSON without its base64 data may have {max_bytes} bytes, not {num_bytes}"
        )
    _check_depth(content)
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_int=_integer, parse_float=_real)
    except json.JSONDecodeError as error:
        raise RequestError("malformed_request", f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except UnicodeDecodeError:
        raise RequestError("malformed_request", "the body is not UTF-8") from None
    if not isinstance(value, dict):
        raise RequestError.of_field("validation", "", "must be a JSON object")
    _check_values(value, "")
    return value


def escape(key: str) -> str:
    """A key as one token of a JSON pointer (RFC 6901); long ones are cut, they end up in an answer."""
    return key[:64].replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()


def _check_depth(content: bytes) -> None:
    depth = 0
    for match in _BRACKET_OR_TEXT.finditer(content):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise RequestError("malformed_request", f"the JSON is nested more than {MAX_DEPTH} levels deep")
        elif token in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_MEMBERS:
        # Each of them would be named to the caller, at some cost.
        raise RequestError("malformed_request", f"an object may have {MAX_MEMBERS} members, not {len(pairs)}")
    result = dict(pairs)
    if len(result) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise RequestError("malformed_request", f"the key {escape(repeated)!r} stands twice in one object")
    return result


def _integer(digits: str) -> int:
    _check_digits(digits)
    return int(digits)


def _real(digits: str) -> float:
    _check_digits(digits)
    return float(digits)


def _check_digits(digits: str) -> None:
    if len(digits) > _MAX_DIGITS:
        raise RequestError("malformed_request", f"a number has more than {_MAX_DIGITS} digits")


def _check_values(value: Any, pointer: str) -> None:
    """Refuse NaN, Infinity, 1e999 and lone surrogates; the depth is bounded, so recursion is."""
    if isinstance(value, dict):
        for key, item in value.items():
            place = f"{pointer}/{escape(key)}"
            _check_text(key, place)
            _check_values(item, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, f"{pointer}/{index}")
    elif isinstance(value, str):
        _check_text(value, pointer)
    elif isinstance(value, float) and not math.isfinite(value):
        raise RequestError("validation", "a number is not finite", (FieldIssue(pointer, "must be a finite number"),))


def _check_text(text: str, pointer: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise RequestError.of_field("validation", pointer, "must be text without lone surrogates")
