"""Which trace a request or a job belongs to, as it is written between processes (W3C Trace Context).

Text and values only: who records what happens in a trace is `service.telemetry`'s.
"""

import re
from dataclasses import dataclass

# A version to come may add fields behind the flags; ff is none.
_TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace_id>(?!0{32})[0-9a-f]{32})-(?P<span_id>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED = 1


@dataclass(frozen=True)
class TraceContext:
    """A span of somebody's that others can continue.

    Attributes:
        trace_id: 32 lower-case hex digits, not all 0.
        span_id: 16 of them, likewise.
        is_sampled: what happens below it is recorded.
    """

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"


def parse_traceparent(*values: str) -> TraceContext | None:
    """What the header says, once; None if it is absent, repeated or malformed, which starts a new trace.

    Source:
        W3C Trace Context, Recommendation of 23 November 2021, sections 3.2 and 4.3.
    """
    match = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or (match["version"] == "00" and match["more"] is not None):
        return None
    return TraceContext(match["trace_id"], match["span_id"], bool(int(match["flags"], 16) & _SAMPLED))
