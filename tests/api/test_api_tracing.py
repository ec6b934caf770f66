"""Spans of requests that end otherwise than with an answer of a route."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import structlog

from service.domain.job import NewJob
from service.domain.trace_context import parse_traceparent
from service.telemetry.tracing import OtlpTracer
from tests.api.bad_inputs import GOOD_BODY
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import RunningGateway, running_gateway
from tests.fakes.trace_collector import Collector, running_collector

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@dataclass
class Edge:
    gateway: RunningGateway
    intake: FakeIntake
    collector: Collector


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    intake = FakeIntake()
    with running_collector() as collector:
        tracer = OtlpTracer(collector.url, "test", "1.2.3", 1.0)
        with running_gateway(intake, MemoryBlobs(), tracer=tracer) as gateway:
            yield Edge(gateway, intake, collector)
        tracer.close()


def test_unexpected_when_something_raises_then_answer_span_and_log_name_the_trace(edge: Edge) -> None:
    def raise_something(job: NewJob) -> None:
        raise ZeroDivisionError("a secret")

    edge.intake.on_enqueue = raise_something
    merge = structlog.contextvars.merge_contextvars

    with structlog.testing.capture_logs(processors=[merge]) as lines:
        response = edge.gateway.client.post("/v1/generate", json=GOOD_BODY, headers={"traceparent": CALLER})

    own = parse_traceparent(response.headers["traceparent"])
    assert response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert own
    assert own.trace_id == TRACE_ID
    (line,) = (line for line in lines if line["event"] == "request_failed")
    assert line["trace_id"] == TRACE_ID
    spans = edge.collector.wait_for(lambda spans: any(span.span_id == own.span_id for span in spans))
    (server,) = (span for span in spans if span.span_id == own.span_id)
    assert (server.is_error, server.attributes["http.response.status_code"]) == (True, 500)
    (enqueue,) = (span for span in spans if span.name == "enqueue" and span.parent_id == own.span_id)
    assert enqueue.attributes["error.type"] == "ZeroDivisionError"
    assert not any(b"a secret" in post.body for post in edge.collector.posts)


def test_client_when_it_leaves_while_sending_then_the_span_says_so(edge: Edge) -> None:
    head = (
        "POST /v1/generate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
        f"traceparent: {CALLER.replace(TRACE_ID, 'c' * 32)}\r\n\r\n"
    )

    with socket.create_connection(edge.gateway.address, 20) as connection:
        connection.sendall(head.encode() + b"{")

    def left(spans: list) -> list:
        return [span for span in spans if span.trace_id == "c" * 32 and span.kind == "server"]

    (span,) = left(edge.collector.wait_for(left))
    assert span.attributes["http.response.status_code"] == 499


def test_traceparent_when_it_is_sent_twice_then_neither_is_believed(edge: Edge) -> None:
    twice = [("traceparent", CALLER), ("traceparent", CALLER)]

    response = edge.gateway.client.get("/v1/poses/presets", headers=twice)

    own = parse_traceparent(response.headers["traceparent"])
    assert own
    assert own.trace_id != TRACE_ID
