"""HTTP/1.1 connections within limits: long heads, slow senders and too many connections are refused in problem form.

The parser and the ASGI side are uvicorn's; here is what it does not bound. How long a body is, is up to who reads it.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.api.lingering import LingeringTransport
from service.api.problems import problem_response
from service.domain.errors import OverloadedError, RequestError, ServiceError

_LOOK_EVERY_SECONDS = 1.0
# A name or an address, and perhaps a port; names with underscores are none of DNS, but of many local networks.
_HOST = re.compile(rb"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class ConnectionLimits:
    """What one client may take.

    Attributes:
        max_url_bytes: path and query.
        max_headers, max_head_bytes: of one request, URL and line ends included.
        head_seconds: from the first byte of a request, or from the connection, until its head is complete.
        body_seconds: a body may take so long, and as long again whenever it has come with at least `min_rate` bytes a
            second.
        answer_seconds: in so long, an answer must be taken with at least `min_rate` bytes a second, or to its end.
        linger_seconds: so long a client that was answered while it was still sending may take to read that; 0 for not
            at all. Less than a server that stops waits for its connections.
        max_connections: of all clients together; whoever comes then is told to come later.
        hosts: names, in lower case, that the header Host may have; empty for any.
    """

    max_url_bytes: int = 8_000
    max_headers: int = 64
    max_head_bytes: int = 32_000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    min_rate: float = 1_000.0
    answer_seconds: float = 60.0
    linger_seconds: float = 2.0
    max_connections: int = 1_000
    hosts: frozenset[str] = frozenset()


_LIMITS = ConnectionLimits()


class _RefusedError(Exception):
    """Leaves the parser; the reason has been noted."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, limits: ConnectionLimits = _LIMITS, **named: Any) -> None:
        """As uvicorn makes it, with `functools.partial` for the limits."""
        super().__init__(*arguments, **named)
        self._limits = limits
        self._refusal: ServiceError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._cycles: list[RequestResponseCycle] = []  # among them all requests that are not answered yet
        self._begun = 0.0  # when this request's head, and then this stretch of its body, began
        self._is_in_head = True
        # What has come of a head that is not whole, what the parser has told of it, and what has come of the body.
        self._num_head_bytes = self._num_parsed_bytes = self._num_body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The first request's head must come in time."""
        self._lingering = LingeringTransport(transport, self._limits.linger_seconds)
        super().connection_made(self._lingering)  # pyright: ignore[reportArgumentType]
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is timed or written any more; of pipelined requests, uvicorn itself tells only the newest."""
        self._stop_timer()
        self._stop_unread()
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See uvicorn; the client reads more slowly than we write."""
        super().pause_writing()
        self._await_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """See uvicorn; the client has read on."""
        super().resume_writing()
        self._stop_unread()

    def data_received(self, data: bytes) -> None:
        """What is not a whole head yet is counted here, as the parser tells of a header only when it has ended."""
        if self.transport.is_closing():
            return
        # Already now: the parser may stop before it knows of a request.
        self._lingering.is_client_sending = True
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._num_head_bytes += len(data)
            if self._num_head_bytes > self._limits.max_head_bytes:
                self._refuse(self._too_large())
        if not (self._timer or self.timeout_keep_alive_task or self.transport.is_closing() or self._unanswered()):
            # Line ends between two requests have ended uvicorn's timer, and are the beginning of none.
            self._begin_head()

    def on_message_begin(self) -> None:
        """See uvicorn; the head of a request begins."""
        super().on_message_begin()
        self._lingering.is_client_sending = True
        self._begin_head()

    def on_url(self, url: bytes) -> None:
        """See uvicorn."""
        super().on_url(url)
        if len(self.url) > self._limits.max_url_bytes:
            self._fail(RequestError("uri_too_long", f"a URL may have {self._limits.max_url_bytes} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """See uvicorn."""
        super().on_header(name, value)
        self._num_parsed_bytes += len(name) + len(value)
        num_bytes = len(self.url) + self._num_parsed_bytes
        if len(self.headers) > self._limits.max_headers or num_bytes > self._limits.max_head_bytes:
            self._fail(self._too_large())

    def on_headers_complete(self) -> None:
        """See uvicorn; from here on the body is timed."""
        hosts = [value for name, value in self.headers if name == b"host"]
        assert self.parser
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._fail(RequestError("malformed_request", "a request has one header Host (RFC 9110, section 7.2)"))
        self._check_host(hosts[0] if hosts else b"")
        self._is_in_head = False
        self._num_head_bytes = self._num_body_bytes = 0
        self._begun = self.loop.time()
        self._start_timer(_LOOK_EVERY_SECONDS, self._look_at_body)
        is_full = len(self.connections) > self._limits.max_connections
        if is_full:
            self._lingering.seconds = 0
        self.app = _refuse_connection if is_full else self.config.loaded_app
        super().on_headers_complete()
        self._cycles = self._unanswered()
        if self.cycle:
            self._cycles.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        """See uvicorn."""
        self._num_body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See uvicorn; now it is our turn to take time."""
        self._stop_timer()
        self._lingering.is_client_sending = False
        super().on_message_complete()

    def shutdown(self) -> None:
        """See uvicorn; a client that was answered, or has asked nothing yet, is not waited for."""
        super().shutdown()
        if self.transport.is_closing():
            self._lingering.end()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser has stopped: the reason that was noted, else the parser's own."""
        self._refuse(self._refusal or RequestError("malformed_request", "this is not HTTP/1.1 by RFC 9112"))

    def _check_host(self, host: bytes) -> None:
        match = _HOST.fullmatch(host)
        if not match:
            self._fail(RequestError("malformed_request", "the header Host is no name or address with a port"))
        elif self._limits.hosts and match[1].decode().lower() not in self._limits.hosts:
            self._fail(RequestError("bad_header", "this server has another name than the header Host"))

    def _too_large(self) -> ServiceError:
        limits = self._limits
        detail = f"a request may have {limits.max_headers} headers, and {limits.max_head_bytes} bytes before its body"
        return RequestError("headers_too_large", detail)

    def _unanswered(self) -> list[RequestResponseCycle]:
        return [cycle for cycle in self._cycles if not cycle.response_complete]

    def _begin_head(self) -> None:
        self._is_in_head = True
        self._num_head_bytes = self._num_parsed_bytes = 0
        self._start_timer(self._limits.head_seconds, self._give_up_head)

    def _give_up_head(self) -> None:
        if self._num_head_bytes:
            self._refuse(RequestError("request_timeout", f"the head did not come in {self._limits.head_seconds:g} s"))
        else:
            self.transport.close()

    def _look_at_body(self) -> None:
        if self.pipeline or self.flow.read_paused:
            # It is we who read nothing: an earlier request is being answered, or this one's body is being dealt with.
            self._begun = self.loop.time()
        seconds, limits = self.loop.time() - self._begun, self._limits
        if seconds > limits.body_seconds:
            if self._num_body_bytes < limits.min_rate * seconds:
                every = f"each {limits.body_seconds:g} s"
                detail = f"of a body that takes long, {limits.min_rate:g} bytes a second must come in {every}"
                self._refuse(RequestError("request_timeout", detail))
                return
            # Who has sent much at once may not hold it here for ever.
            self._begun, self._num_body_bytes = self.loop.time(), 0
        self._start_timer(_LOOK_EVERY_SECONDS, self._look_at_body)

    def _fail(self, error: ServiceError) -> None:
        self._refusal = error
        raise _RefusedError

    def _refuse(self, error: ServiceError) -> None:
        """Answer, unless the client would take that for an earlier request's answer, and close."""
        self._stop_timer()
        if self.transport.is_closing():
            return  # Of a body whose request has been answered.
        unanswered = self._unanswered()
        if not unanswered or (unanswered == [self.cycle] and not (self._is_in_head or self.cycle.response_started)):
            response = problem_response(error)
            lines = [f"HTTP/1.1 {response.status_code} {error.code}".encode(), b"connection: close"]
            lines += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        for cycle in unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _start_timer(self, seconds: float, then: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _await_reader(self, num_unread: int) -> None:
        self._unread = self.loop.call_later(self._limits.answer_seconds, self._look_at_reader, num_unread)

    def _look_at_reader(self, num_unread: int) -> None:
        left, limits = self.transport.get_write_buffer_size(), self._limits
        if left <= num_unread - limits.min_rate * limits.answer_seconds:
            self._await_reader(left)
        else:
            self.transport.abort()

    def _stop_unread(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None


async def _refuse_connection(scope: Scope, receive: Receive, send: Send) -> None:
    response = problem_response(OverloadedError("overloaded", "too many connections; try again later"))
    response.headers["Connection"] = "close"
    await response(scope, receive, send)
