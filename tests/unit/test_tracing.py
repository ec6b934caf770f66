"""Spans that are recorded here arrive at a collector; those that are not cost nothing and go nowhere."""

import asyncio
import dataclasses
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from service.domain.errors import RequestError
from service.domain.trace_context import TraceContext
from service.telemetry.spans import enter, leave, part
from service.telemetry.tracing import OtlpTracer, _PatientExporter
from tests.fakes.trace_collector import Collector, running_collector
from tests.unit.builders import a_claimed_job

CALLER = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", is_sampled=True)
UNRECORDED = dataclasses.replace(CALLER, is_sampled=False)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    # It answers: whoever closes a tracer then has sent everything, however slowly.
    monkeypatch.setattr("service.telemetry.tracing._CLOSE_SECONDS", 20.0)
    with running_collector() as collector:
        yield collector


@pytest.fixture
def tracer(collector: Collector) -> Iterator[OtlpTracer]:
    tracer = OtlpTracer(collector.url, "test", "1.2.3", 1.0)
    yield tracer
    tracer.close()


@pytest.fixture(autouse=True)
def _in_no_span() -> Iterator[None]:
    yield
    leave()


def test_span_when_it_has_a_parent_then_it_arrives_below_it_with_all_that_is_known(
    collector: Collector, tracer: OtlpTracer
) -> None:
    span = tracer.begin("POST", "server", CALLER, {"a": 1})
    below = span.begin("enqueue", "producer")
    below.end(error="full")
    span.end({"b": True}, name="POST /v1/generate")

    tracer.close()

    inner, outer = collector.spans()
    assert (outer.name, outer.kind, outer.service) == ("POST /v1/generate", "server", "test")
    assert (outer.trace_id, outer.parent_id) == (CALLER.trace_id, CALLER.span_id)
    assert (outer.trace_id, outer.span_id) == (span.context.trace_id, span.context.span_id)
    assert (outer.attributes, outer.is_error) == ({"a": 1, "b": True}, False)
    assert (inner.name, inner.kind, inner.parent_id) == ("enqueue", "producer", outer.span_id)
    assert (inner.attributes, inner.is_error) == ({"error.type": "full"}, True)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_span_when_nobody_decided_for_it_then_the_ratio_does_and_the_callers_word_stands(
    collector: Collector, ratio: float
) -> None:
    tracer = OtlpTracer(collector.url, "test", "1.2.3", ratio)
    spans = [tracer.begin("GET", "server", parent, {}) for parent in (None, CALLER, UNRECORDED)]
    for span in spans:
        span.begin("part").end()
        span.end()

    tracer.close()

    assert [span.context.is_sampled for span in spans] == [ratio == 1.0, True, False]
    recorded = {span.context.trace_id for span in spans if span.context.is_sampled}
    assert {span.trace_id for span in collector.spans()} == recorded
    assert spans[2].context.trace_id == UNRECORDED.trace_id
    assert spans[0].context.trace_id not in ("0" * 32, CALLER.trace_id)


def test_job_when_its_stages_come_in_pieces_then_each_is_one_span_and_their_batches_name_it(
    collector: Collector,
) -> None:
    # A ratio that is nothing to a job whose caller wants it recorded, nor to its batches.
    tracer = OtlpTracer(collector.url, "test", "1.2.3", 0.0)
    job = tracer.begin_job(dataclasses.replace(a_claimed_job(1), trace=CALLER, attempt=3))
    other = tracer.begin_job(dataclasses.replace(a_claimed_job(2), trace=CALLER))
    assert job
    assert other
    job.spend("canet", 0.5)
    for _ in range(3):
        job.spend("tdnet_step", 0.25)
        tracer.note_batch("tdnet_step", 3, [job, other], 0.25)
    job.fail("backend_error")
    job.end("failed", {"source": "hit", "pose": "miss"})

    tracer.close()

    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == {"job", "canet", "tdnet_step", "batch tdnet_step"}
    whole, steps, batch = spans["job"], spans["tdnet_step"], spans["batch tdnet_step"]
    assert (whole.parent_id, whole.kind, whole.is_error) == (CALLER.span_id, "consumer", True)
    expected = {
        "xmdpt.job_id": a_claimed_job(1).id,
        "xmdpt.attempt": 3,
        "xmdpt.outcome": "failed",
        "error.type": "backend_error",
        "xmdpt.cache.source": "hit",
        "xmdpt.cache.pose": "miss",
    }
    assert whole.attributes.items() >= expected.items()
    assert {spans[name].parent_id for name in ("canet", "tdnet_step")} == {whole.span_id}
    assert steps.attributes == {"xmdpt.pieces": 3, "xmdpt.busy_seconds": 0.75}
    assert steps.ended - steps.began >= 0.25e9
    assert (batch.parent_id, batch.attributes["xmdpt.rows"]) == ("", 3)
    assert batch.trace_id != CALLER.trace_id
    assert (whole.trace_id, whole.span_id) in batch.links
    assert len(batch.links) == 2


def test_batch_when_none_of_its_jobs_is_recorded_then_it_is_not_either(
    collector: Collector, tracer: OtlpTracer
) -> None:
    assert tracer.begin_job(a_claimed_job(1)) is None
    assert tracer.begin_job(dataclasses.replace(a_claimed_job(1), trace=UNRECORDED)) is None
    tracer.note_batch("tdnet_step", 2, [], 0.1)

    tracer.close()

    assert collector.spans() == []


def test_part_when_nothing_is_traced_then_there_is_no_span() -> None:
    with part("decode") as span:
        assert span is None


def test_part_when_a_span_is_entered_then_it_is_below_it_until_that_is_left(
    collector: Collector, tracer: OtlpTracer
) -> None:
    request = tracer.begin("POST", "server", None, {})
    enter(request)
    with part("store"):
        pass
    with pytest.raises(RequestError), part("decode"):
        raise RequestError("image_invalid", "why")
    with pytest.raises(ZeroDivisionError), part("parse"):
        raise ZeroDivisionError
    leave()
    with part("after") as after:
        assert after is None

    tracer.close()

    errors = {span.name: span.attributes.get("error.type") for span in collector.spans()}
    assert errors == {"store": None, "decode": "image_invalid", "parse": "ZeroDivisionError"}
    assert {span.parent_id for span in collector.spans()} == {request.context.span_id}


async def test_span_when_it_is_entered_then_its_task_and_what_that_starts_are_in_it_and_others_are_not(
    tracer: OtlpTracer,
) -> None:
    def seen() -> tuple[bool, object]:
        with part("x") as span:
            return span is not None, structlog.contextvars.get_contextvars().get("trace_id")

    async def request() -> tuple[tuple[bool, object], ...]:
        span = tracer.begin("GET", "server", CALLER, {})
        enter(span)
        return seen(), await asyncio.create_task(asyncio.to_thread(seen)), await asyncio.create_task(left())

    async def left() -> tuple[bool, object]:
        leave()
        return seen()

    task = asyncio.create_task(request())

    assert await task == ((True, CALLER.trace_id), (True, CALLER.trace_id), (False, None))
    assert seen() == (False, None)


def test_tracer_when_no_collector_answers_then_one_line_says_so_and_closing_is_bounded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung, structlog.testing.capture_logs() as lines:
        address = f"http://127.0.0.1:{hung.getsockname()[1]}"
        tracer = OtlpTracer(address, "test", "1.2.3", 1.0)
        # More than are kept.
        for _ in range(10_000):
            tracer.begin("GET", "server", None, {}).end()
        tracer.close()
        assert "close tracing" in {thread.name for thread in threading.enumerate()}, "it waited for the collector"
        hung.close()
        give_up_at = time.monotonic() + 20
        while not lines:
            assert time.monotonic() < give_up_at, "nobody was told"
            time.sleep(0.01)

    assert [(line["event"], line["collector"]) for line in lines] == [("traces can't be sent", address)]
    assert lines[0]["lost"] > 0
    assert logging.getLogger("opentelemetry").level == logging.CRITICAL


def test_collector_when_it_fails_for_long_then_the_log_says_so_once_and_once_that_it_is_over() -> None:
    outcomes = [SpanExportResult.FAILURE] * 3 + [SpanExportResult.SUCCESS] * 2 + [SpanExportResult.FAILURE]

    class Scripted(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return outcomes.pop(0)

    exporter = _PatientExporter(Scripted(), "http://collector")

    with structlog.testing.capture_logs() as lines:
        for _ in range(6):
            exporter.export([ReadableSpan("a"), ReadableSpan("b")])

    assert [(line["event"], line["lost"]) for line in lines] == [
        ("traces can't be sent", 2),
        ("traces are sent again", 6),
        ("traces can't be sent", 2),
    ]
