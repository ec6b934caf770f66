"""`traceparent` is read as W3C Trace Context says, and whatever else it may be starts a new trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.trace_context import TraceContext, parse_traceparent
from tests.unit.builders import repeatable

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        (f"00-{TRACE_ID}-{SPAN_ID}-01", True),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", False),
        (f"00-{TRACE_ID}-{SPAN_ID}-03", True),
        (f"00-{TRACE_ID}-{SPAN_ID}-fe", False),
        (f"01-{TRACE_ID}-{SPAN_ID}-01", True),
        (f"fe-{TRACE_ID}-{SPAN_ID}-01-what-is-to-come", True),
    ],
)
def test_traceparent_when_well_formed_then_it_is_the_callers_span(text: str, is_sampled: bool) -> None:
    assert parse_traceparent(text) == TraceContext(TRACE_ID, SPAN_ID, is_sampled)


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("nonsense",),
        (f"00-{TRACE_ID}-{SPAN_ID}",),
        (f"00-{TRACE_ID}-{SPAN_ID}-1",),
        (f"00-{TRACE_ID}-{SPAN_ID}-01 ",),
        (f"00-{TRACE_ID}-{SPAN_ID}-01\n",),
        (f"00-{TRACE_ID}-{SPAN_ID}-01-more",),
        (f"00-{TRACE_ID}-{SPAN_ID}-0g",),
        (f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",),
        (f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",),
        (f"00-{TRACE_ID}-{SPAN_ID}0-01",),
        (f"00-{'0' * 32}-{SPAN_ID}-01",),
        (f"00-{TRACE_ID}-{'0' * 16}-01",),
        (f"ff-{TRACE_ID}-{SPAN_ID}-01",),
        (f"01-{TRACE_ID}-{SPAN_ID}-01more",),
        (f"00-{TRACE_ID}-{SPAN_ID}-01", f"00-{TRACE_ID}-{SPAN_ID}-01"),
    ],
)
def test_traceparent_when_absent_malformed_or_repeated_then_there_is_none(values: tuple[str, ...]) -> None:
    assert parse_traceparent(*values) is None


@repeatable
@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_traceparent_when_written_then_it_reads_as_what_was_meant(
    trace_id: int, span_id: int, is_sampled: bool
) -> None:
    context = TraceContext(f"{trace_id:032x}", f"{span_id:016x}", is_sampled)

    assert parse_traceparent(context.traceparent) == context


@repeatable
@given(st.text(alphabet="0123456789abcdef-\n ABCf", max_size=70) | st.text(max_size=70))
def test_traceparent_when_it_is_anything_then_nothing_raises_and_what_is_read_is_valid(text: str) -> None:
    context = parse_traceparent(text)

    assert context is None or parse_traceparent(context.traceparent) == context
