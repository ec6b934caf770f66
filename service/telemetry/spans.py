"""Spans as the rest of the service sees them: what begins, what ends, and which one a request is in at present.

Without tracing there is no tracer and no present span, and nothing is done. How spans are recorded and sent is
`service.telemetry.tracing`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal, Protocol

from service.domain.errors import ServiceError
from service.domain.job import ClaimedJob
from service.domain.trace_context import TraceContext
from service.telemetry.logs import bind_trace

SpanKind = Literal["server", "internal", "producer", "consumer", "client"]
Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """Something that goes on, from when it was begun until `end`."""

    @property
    def context(self) -> TraceContext:
        """By which others continue it."""
        ...

    def begin(self, name: str, kind: SpanKind = "internal") -> "Span":
        """A span below this one."""
        ...

    def end(self, attributes: Attributes | None = None, *, name: str = "", error: str = "") -> None:
        """It is over.

        Args:
            attributes: what is known of it now.
            name: instead of the first one.
            error: the code of what went wrong; empty if nothing did.
        """
        ...


class JobSpan(Protocol):
    """One delivery of a job to a worker, whose stages follow each other in many small pieces."""

    def spend(self, stage: str, seconds: float) -> None:
        """A piece of a stage has just ended, which took so long."""
        ...

    def fail(self, code: str) -> None:
        """The job will end as failed, or be tried again."""
        ...

    def end(self, state: str, cache: Mapping[str, str]) -> None:
        """The job has left.

        Args:
            state: how, as the metrics name it.
            cache: `hit` or `miss` for `source` and `pose`.
        """
        ...


class Tracer(Protocol):
    """A process's; its methods may be called from any thread and never wait for a network."""

    def begin(self, name: str, kind: SpanKind, parent: TraceContext | None, attributes: Attributes) -> Span:
        """A span below somebody else's; without one, of a new trace."""
        ...

    def begin_job(self, job: ClaimedJob) -> JobSpan | None:
        """None for a job that belongs to no trace, or to one that is not recorded."""
        ...

    def note_batch(self, stage: str, num_rows: int, jobs: Iterable[JobSpan], seconds: float, error: str = "") -> None:
        """A batch has just run, which took so long; of its jobs, these are recorded.

        It belongs to the traces of all of them, so it has a trace of its own, with a link to each.
        """
        ...

    def close(self) -> None:
        """Send what is left, as far as a bounded time allows."""
        ...


_present: ContextVar[Span | None] = ContextVar("span", default=None)
_NOTHING: AbstractContextManager[None] = nullcontext()


def enter(span: Span) -> None:
    """From now on this task, and those that it starts, are in the span, and their log lines name its trace."""
    _present.set(span)
    bind_trace(span.context)


def leave() -> None:
    """For a task that outlives the one which started it: it is in no span."""
    _present.set(None)
    bind_trace(None)


def part(name: str, kind: SpanKind = "internal") -> AbstractContextManager[Span | None]:
    """A span below the present one, as long as the block lasts; None, and nothing is done, where there is none."""
    parent = _present.get()
    return _NOTHING if parent is None else _part(parent.begin(name, kind))


@contextmanager
def _part(span: Span) -> Iterator[Span]:
    error = ""
    try:
        yield span
    except BaseException as raised:
        error = raised.code if isinstance(raised, ServiceError) else type(raised).__name__
        raise
    finally:
        span.end(error=error)
