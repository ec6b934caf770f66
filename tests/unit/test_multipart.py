"""A form is split into the parts that were sent, and a broken or endless one is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.multipart import MAX_FIELDS, MAX_FILES, parse_multipart
from service.domain.errors import RequestError
from tests.unit.builders import repeatable

TYPE = "multipart/form-data; boundary=xx"
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=10)
PARTS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), min_size=1, max_size=MAX_FIELDS)

PIECES = [
    b"--xx",
    b"\r\n",
    b"--",
    b"\r",
    b"\n",
    b":",
    b'Content-Disposition: form-data; name="a"',
    b'; filename="b"',
    b"x",
]


def a_part(name: str, content: bytes, *headers: str, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    lines = (f'Content-Disposition: form-data; name="{name}"{file}', *headers)
    return b"--xx\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


def refusal(body: bytes, content_type: str = TYPE) -> str:
    """Detail of the error."""
    with pytest.raises(RequestError) as error:
        parse_multipart(body, content_type)
    assert error.value.code == "malformed_request"
    return error.value.detail


@repeatable
@given(PARTS)
def test_form_when_good_then_its_parts_come_out_as_they_went_in(sent: list[tuple[str, bytes]]) -> None:
    sent = [(name, content) for name, content in sent if b"\r\n--xx" not in b"\r\n" + content]
    body = b"".join(a_part(name, content) for name, content in sent) + b"--xx--\r\n"

    if sent:
        assert [(part.name, bytes(part.content)) for part in parse_multipart(body, TYPE)] == sent


@repeatable
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_form_when_made_of_its_own_pieces_then_named_and_counted_parts_or_our_own_error(pieces: list[bytes]) -> None:
    with suppress(RequestError):
        parts = parse_multipart(b"".join(pieces), TYPE)
        assert all(part.name for part in parts)
        assert sum(part.is_file for part in parts) <= MAX_FILES
        assert len(parts) <= MAX_FILES + MAX_FIELDS


def test_part_when_it_has_a_file_name_or_a_type_then_both_are_known() -> None:
    body = (
        a_part("photo", b"1", "Content-Type: IMAGE/Png; a=b", filename="a.png")
        + a_part("empty", b"2", filename="")
        + a_part("text", b"3", "content-transfer-encoding: 8bit", "X-Other: y")
        + b"--xx--"
    )

    parts = [(part.name, part.is_file, part.content_type) for part in parse_multipart(body, TYPE)]

    assert parts == [("photo", True, "image/png"), ("empty", True, ""), ("text", False, "")]


def test_part_when_its_content_looks_like_a_boundary_then_it_stays_whole() -> None:
    content = b"x--xx--\r\n--x\r\n--Xx--\r\n-\r\r\n\n--xx"

    (part,) = parse_multipart(a_part("a", content) + b"--xx--\r\n", TYPE)

    assert bytes(part.content) == content


def test_form_when_there_is_text_around_it_then_the_text_is_passed_over() -> None:
    (part,) = parse_multipart(a_part("a", b"1") + b"--xx--\r\nepilogue", TYPE)

    assert bytes(part.content) == b"1"


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 71, '; boundary=""', "; charset=utf-8"])
def test_boundary_when_missing_or_too_long_then_refused(boundary: str) -> None:
    assert "boundary" in refusal(a_part("a", b"1") + b"--xx--\r\n", "multipart/form-data" + boundary)


def test_boundary_when_quoted_or_of_the_longest_kind_then_taken() -> None:
    long = "x" * 70
    body = a_part("a", b"1").replace(b"--xx", b"--" + long.encode()) + b"--" + long.encode() + b"--\r\n"

    (part,) = parse_multipart(body, f'multipart/form-data; boundary="{long}"')

    assert part.name == "a"


@pytest.mark.parametrize("end", [b"", b"--", b"--xx", b"--x", b"--xx-"])
def test_form_when_its_end_is_missing_then_refused(end: bytes) -> None:
    assert refusal(a_part("a", b"1") + end)


def test_counts_when_at_their_bounds_then_taken_and_one_more_refused() -> None:
    files = [a_part("f", b"", filename="f")] * MAX_FILES
    fields = [a_part("t", b"")] * MAX_FIELDS

    assert len(parse_multipart(b"".join(files + fields) + b"--xx--\r\n", TYPE)) == MAX_FILES + MAX_FIELDS
    assert "not more" in refusal(b"".join([*files, files[0]]) + b"--xx--\r\n")
    assert "not more" in refusal(b"".join([*fields, fields[0]]) + b"--xx--\r\n")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (b'--xx\r\nContent-Disposition: form-data; filename="a"\r\n\r\n1\r\n', "no name"),
        (b'--xx\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n', "no name"),
        (b'--xx\r\nContent-Disposition: form-data; name=""\r\n\r\n1\r\n', "no name"),
        (a_part("a", b"MQ==", "Content-Transfer-Encoding: base64"), "transfer encoding"),
        (a_part("a", b"1", "Content-Transfer-Encoding: quoted-printable"), "transfer encoding"),
        (b"--xx\r\n: x\r\n\r\n1\r\n", "broken"),
    ],
)
def test_part_when_its_headers_are_unusable_then_refused(part: bytes, words: str) -> None:
    assert words in refusal(part + b"--xx--\r\n")


def test_name_when_it_is_not_utf8_then_it_becomes_a_name_that_no_field_has() -> None:
    body = b'--xx\r\nContent-Disposition: form-data; name="s\xffurce"\r\n\r\n1\r\n--xx--\r\n'

    (part,) = parse_multipart(body, TYPE)

    assert part.name == "s\N{REPLACEMENT CHARACTER}urce"
