"""A real OTLP/HTTP collector, small: it keeps what is posted to it, and reads spans out of that.

Webhooks can be sent to it too: it takes whatever comes to another path.
"""

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

TRACES = "/v1/traces"


@dataclass(frozen=True)
class Post:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class SeenSpan:
    """A span as the collector got it; ids are lower-case hex, times nanoseconds."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: frozenset[tuple[str, str]]
    is_error: bool
    began: int
    ended: int


@dataclass
class Collector:
    """What has been posted so far."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def spans(self) -> list[SeenSpan]:
        return [span for post in list(self.posts) if post.path == TRACES for span in _spans(post.body)]

    def wait_for(self, condition: Callable[[list[SeenSpan]], object], seconds: float = 30) -> list[SeenSpan]:
        """All spans, once the condition holds for them."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self.spans()), seconds):
                names = Counter(span.name for span in self.spans())
                raise AssertionError(f"not within {seconds} s; so far: {dict(names)}")
        return self.spans()

    def told(self, path: str, seconds: float = 30) -> list[Post]:
        """What has come to this path, once something has."""
        with self.changed:
            assert self.changed.wait_for(lambda: any(post.path == path for post in self.posts), seconds)
        return [post for post in self.posts if post.path == path]


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Listen at a free port of this computer."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            with collector.changed:
                collector.posts.append(Post(self.path, headers, body))
                collector.changed.notify_all()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _spans(body: bytes) -> Iterator[SeenSpan]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(of_resource.resource.attributes)["service.name"]
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield SeenSpan(
                    service,
                    span.name,
                    ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    _attributes(span.attributes),
                    frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    span.status.code == Status.STATUS_CODE_ERROR,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind, "every attribute has a value"
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)
