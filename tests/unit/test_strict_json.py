"""JSON by RFC 8259: what it lets pass is what json.loads says, what it refuses has a code and a place."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.strict_json import MAX_DEPTH, escape, parse_object
from service.domain.errors import RequestError
from tests.unit.builders import repeatable

MAX_BYTES = 256_000
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab~/é"), inner), max_leaves=20)
OBJECTS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=5)
# They take a tenth of a second; what tries a text twice, or looks for each key among all, takes 20 s and more.
MAX_CPU_SECONDS = 4.0


def refusal(content: bytes, max_bytes: int = MAX_BYTES) -> tuple[str, str | None]:
    """Code and pointer of the error."""
    with pytest.raises(RequestError) as error:
        parse_object(content, max_bytes)
    return error.value.code, error.value.issues[0].pointer if error.value.issues else None


@repeatable
@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]))
def test_json_when_it_is_good_then_nothing_is_changed(value: dict, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)

    assert parse_object(text.encode(), MAX_BYTES) == value


@repeatable
@given(st.binary(max_size=80) | st.text('{}[]":,\\ae1.-u0d8', max_size=60).map(str.encode))
def test_json_when_it_is_any_bytes_then_an_object_or_our_own_error(content: bytes) -> None:
    with suppress(RequestError):
        assert parse_object(content, MAX_BYTES) == json.loads(content)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_json_when_nested_then_the_bound_is_exact(opening: str) -> None:
    closing = {"[": "]", "{": "}"}[opening[0]]

    def nested(depth: int) -> bytes:
        return ('{"a":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}").encode()

    parse_object(nested(MAX_DEPTH), MAX_BYTES)
    assert refusal(nested(MAX_DEPTH + 1))[0] == "malformed_request"


def test_json_when_brackets_stand_in_texts_then_they_do_not_count_as_depth() -> None:
    value = {"a": "[" * 100 + '\\"' + "{" * 100, '"]"': "]" * 100}

    assert parse_object(json.dumps(value).encode(), MAX_BYTES) == value


@pytest.mark.parametrize(
    ("content", "code", "pointer"),
    [
        (b'{"a": NaN}', "validation", "/a"),
        (b'{"a": [1, {"b": -Infinity}]}', "validation", "/a/1/b"),
        (b'{"a~/b": 1e999}', "validation", "/a~0~1b"),
        (b'{"a": "\\udc00x"}', "validation", "/a"),
        (b'{"\\ud800": 1}', "validation", "/?"),
        (b'{"a": {"b": 1, "b": 1}}', "malformed_request", None),
        (b"[1]", "validation", ""),
        (b'"text"', "validation", ""),
        (b"{'a': 1}", "malformed_request", None),
        (b'{"a": 1,}', "malformed_request", None),
        (b'{"a": 01}', "malformed_request", None),
        (b'{"a": "\t"}', "malformed_request", None),
        (b'{"a": ' + b"1" * 4301 + b"}", "malformed_request", None),
        (b'{"a": 0.' + b"1" * 4300 + b"}", "malformed_request", None),
    ],
)
def test_json_when_it_is_bad_then_the_code_and_the_place(content: bytes, code: str, pointer: str | None) -> None:
    assert refusal(content) == (code, pointer)


def test_json_when_a_number_has_the_most_digits_then_it_is_taken() -> None:
    assert parse_object(b'{"a": ' + b"1" * 4300 + b"}", MAX_BYTES)["a"] == int("1" * 4300)


def test_json_when_measured_then_data_texts_do_not_count_and_all_else_does() -> None:
    content = json.dumps({"source": {"data": "x" * 1000}, "b": "y" * 50}).encode()
    bound = len(content) - 1000

    assert parse_object(content, bound)["b"] == "y" * 50
    assert refusal(content, bound - 1)[0] == "body_too_large"
    assert refusal(json.dumps({"date": "x" * 1000}).encode(), 500)[0] == "body_too_large"


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": "' + b'\\"' * 127_000,
        b'{"a": ' + b'"' * 255_000,
        b"{" + b",".join(b'"%x":1' % number for number in [*range(28_000), 27_999]) + b"}",
        b'{"data"' + b" " * 250_000,
        b'{"data":"' * 28_000,
        b'{"a": [' + b"[]," * 80_000,
    ],
    ids=["escaped quotes", "quotes", "repeated key", "spaces", "data texts", "brackets"],
)
def test_json_when_made_to_be_slow_then_it_is_refused_in_time(content: bytes) -> None:
    # Not of the process: other tests may have left threads that are busy.
    start = time.thread_time()

    assert refusal(content)[0] == "malformed_request"

    assert time.thread_time() - start < MAX_CPU_SECONDS


def test_pointer_when_a_key_is_long_or_odd_then_it_is_cut_and_escaped() -> None:
    assert escape("a/b~c") == "a~1b~0c"
    assert escape("x" * 1000) == "x" * 64
    assert escape("\ud800") == "?"
