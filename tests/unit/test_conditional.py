"""What `Range`, `If-Range` and `If-None-Match` mean: tables after RFC 9110, and properties that hold for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.conditional import (
    Conditions,
    entity_tag,
    is_known,
    multipart_byteranges,
    wanted_ranges,
)
from service.domain.errors import RangeNotSatisfiableError
from tests.unit.builders import repeatable

TAG = entity_tag("ab" * 32)
LENGTH = 100


def wanted(ranges: str, if_range: str = "") -> list[tuple[int, int]]:
    """First byte and the one behind the last."""
    return [
        (span.start, span.stop) for span in wanted_ranges(Conditions(ranges=ranges, if_range=if_range), TAG, LENGTH)
    ]


@pytest.mark.parametrize(
    ("ranges", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-99", [(0, 100)]),
        ("bytes=10-", [(10, 100)]),
        ("bytes=10-1000", [(10, 100)]),
        ("bytes=99-", [(99, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("BYTES=0-9", [(0, 10)]),
        ("bytes=0-9, 20-29", [(0, 10), (20, 30)]),
        ("bytes=,0-9 ,\t20-29,", [(0, 10), (20, 30)]),
        ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
        ("bytes=0-9,10-19", [(0, 10), (10, 20)]),
        ("bytes=0-9,5-19", [(0, 20)]),
        ("bytes=0-9,20-29,5-24", [(0, 30)]),
        ("bytes=0-9,50-59,5-14", [(50, 60), (0, 15)]),
        ("bytes=0-9,0-9", [(0, 10)]),
        ("bytes=0-9,200-300", [(0, 10)]),
        ("bytes=0-0,2-2,4-4,6-6,8-8", [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]),
    ],
)
def test_ranges_when_well_formed_then_the_bytes_of_the_file_that_they_name(
    ranges: str, spans: list[tuple[int, int]]
) -> None:
    assert wanted(ranges) == spans


@pytest.mark.parametrize(
    "ranges",
    [
        "", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-9,5-4", "bytes=0-9,x",
        "bytes=1", "bytes=0--1", "bytes=+0-9", "bytes=0-9;1-2", "bytes=" + "9" * 21 + "-", "lines=0-9", "0-9",
        "bytes=\u0660-\u0669", "bytes=0 - 9",
    ],
)  # fmt: skip
def test_ranges_when_malformed_then_as_if_there_were_none(ranges: str) -> None:
    assert wanted(ranges) == []


@pytest.mark.parametrize(
    "ranges",
    ["bytes=100-", "bytes=100-200,300-", "bytes=-0", "bytes=0-0,2-2,4-4,6-6,8-8,10-10", "bytes=" + "9" * 20 + "-"],
)
def test_ranges_when_none_is_there_or_too_many_are_asked_then_refused(ranges: str) -> None:
    with pytest.raises(RangeNotSatisfiableError) as error:
        wanted(ranges)

    assert (error.value.code, error.value.num_bytes) == ("range_not_satisfiable", LENGTH)


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (TAG, True),
        (f" {TAG} ", True),
        ("W/" + TAG, False),
        ('"other"', False),
        ("Sun, 06 Nov 1994 08:49:37 GMT", False),
        ("*", False),
    ],
)
def test_ranges_when_they_hold_for_one_tag_then_another_file_is_sent_whole(if_range: str, holds: bool) -> None:
    assert wanted("bytes=0-9", if_range) == ([(0, 10)] if holds else [])
    assert holds or wanted("bytes=1000-", if_range) == []


@repeatable
@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), min_size=1, max_size=5))
def test_ranges_when_any_are_asked_for_then_each_of_their_bytes_comes_once(pairs: list[tuple[int, int]]) -> None:
    asked = [(min(pair), max(pair)) for pair in pairs]
    expected = {number for first, last in asked for number in range(first, last + 1) if number < LENGTH}

    try:
        spans = wanted("bytes=" + ",".join(f"{first}-{last}" for first, last in asked))
    except RangeNotSatisfiableError:
        assert expected == set()
    else:
        assert sorted(number for first, stop in spans for number in range(first, stop)) == sorted(expected)


@repeatable
@given(st.text(max_size=40))
def test_headers_when_any_text_then_no_error_but_ours(text: str) -> None:
    for ranges in (text, "bytes=" + text):
        try:
            wanted(ranges, if_range="")
        except RangeNotSatisfiableError:
            continue
    is_known(text, TAG)


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [
        ("*", True),
        (TAG, True),
        ("W/" + TAG, True),
        (f'"a,b" , {TAG}', True),
        (f'"other",W/{TAG},"more"', True),
        ("", False),
        ('"other"', False),
        ("sha256-" + "ab" * 32, False),
        (TAG[:-2] + '"', False),
    ],
)
def test_tag_when_it_is_among_the_clients_then_it_is_known(if_none_match: str, known: bool) -> None:
    assert is_known(if_none_match, TAG) is known


def test_multipart_when_written_then_by_rfc_2046() -> None:
    body = multipart_byteranges(bytes(range(48, 58)), "image/png", [range(0, 2), range(8, 10)], "xx")

    assert body == (
        b"\r\n--xx\r\nContent-Type: image/png\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        b"\r\n--xx\r\nContent-Type: image/png\r\nContent-Range: bytes 8-9/10\r\n\r\n89"
        b"\r\n--xx--\r\n"
    )
