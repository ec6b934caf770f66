"""One JSON line per change of state on standard error; a readable line where a person watches.

It configures structlog, and what libraries have to say goes the same way; no image bytes and no secrets are ever passed
to it.
"""

import logging
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TextIO, cast

import structlog

from service.domain.trace_context import TraceContext

Logger = structlog.stdlib.BoundLogger


class _Unfailing:
    """A stream that forgets what can't be written: a full disk behind the log must stop no work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


class _OfLibraries(logging.Handler):
    """Errors that libraries log; what they warn of, such as nonsense from a client, its answer has said."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # A record that can't be formatted must stop no work either.
            get_logger().error(record.getMessage(), library=record.name, exc_info=record.exc_info)


def configure_logs(role: str, level: str = "info", log_format: str = "auto") -> None:
    """Set up the process's log, once, before anything is logged.

    Args:
        role: `gateway`, `worker` or `all`; stands in every line.
        level: `debug`, `info`, `warning` or `error`.
        log_format: `json`, `text`, or `auto`: JSON unless standard error is a terminal.
    """
    is_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    renderer = structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(level=logging.ERROR, handlers=[_OfLibraries()])


def get_logger() -> Logger:
    """The process's logger."""
    return structlog.get_logger()


def bind_trace(trace: TraceContext | None) -> None:
    """The lines of this task, or thread, name this trace from now on; or none."""
    if trace is None:
        structlog.contextvars.unbind_contextvars("trace_id")
    else:
        structlog.contextvars.bind_contextvars(trace_id=trace.trace_id)


def traced_lines(trace: TraceContext | None) -> AbstractContextManager[Any]:
    """The lines of the block name the trace, if there is one."""
    return nullcontext() if trace is None else structlog.contextvars.bound_contextvars(trace_id=trace.trace_id)
