"""Records spans and sends them to an OpenTelemetry collector, in a thread of its own and with bounded memory.

This module alone knows OpenTelemetry, and needs the packages of the extra `tracing`. Which spans there are is said
where they begin; what they have in common is `service.telemetry.spans`'.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, StatusCode, TraceFlags, set_span_in_context
from opentelemetry.trace import Span as RecordedSpan
from opentelemetry.trace import SpanKind as RecordedKind
from opentelemetry.trace import Tracer as Recorder

from service.domain.job import ClaimedJob
from service.domain.trace_context import TraceContext
from service.telemetry.logs import get_logger
from service.telemetry.spans import Attributes, JobSpan, SpanKind

# Some megabytes; while nobody takes them, the oldest spans go.
_MAX_WAITING = 4096
_MAX_SENT_AT_ONCE = 512
_SEND_EVERY_MS = 1000
_SEND_TIMEOUT_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_COMPLAIN_EVERY_SECONDS = 60.0
_KINDS = {kind.name.lower(): kind for kind in RecordedKind}


class OtlpTracer:
    """Tracer of one process."""

    def __init__(self, endpoint: str, service_name: str, version: str, sample_ratio: float) -> None:
        """Starts the thread that sends; calls nobody yet.

        Args:
            endpoint: the collector's address for OTLP over HTTP, without `/v1/traces`.
            service_name: of this process.
            version: of the program.
            sample_ratio: 0 .. 1, of the traces that begin here; those of callers are recorded as they say.
        """
        # What the exporter says of each try is said here, and less often.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_SEND_TIMEOUT_SECONDS)
        self._processor = BatchSpanProcessor(
            _PatientExporter(exporter, endpoint),
            max_queue_size=_MAX_WAITING,
            schedule_delay_millis=_SEND_EVERY_MS,
            max_export_batch_size=_MAX_SENT_AT_ONCE,
        )
        names = {"service.name": service_name, "service.version": version, "service.instance.id": str(uuid.uuid4())}
        self._resource = Resource.create(names)
        self._recorder = self._make_recorder(ParentBased(TraceIdRatioBased(sample_ratio)), version)
        # A batch has no parent: it is recorded as soon as one of its jobs is.
        self._batch_recorder = self._make_recorder(ALWAYS_ON, version)

    def begin(self, name: str, kind: SpanKind, parent: TraceContext | None, attributes: Attributes) -> "_Span":
        """As the protocol says."""
        return _Span(self._recorder, _begin(self._recorder, name, kind, _below(parent), attributes))

    def begin_job(self, job: ClaimedJob) -> "_JobSpan | None":
        """As the protocol says."""
        if job.trace is None or not job.trace.is_sampled:
            return None
        attributes: Attributes = {
            "xmdpt.job_id": job.id,
            "xmdpt.attempt": job.attempt,
            "xmdpt.is_suspect": job.is_suspect,
            "xmdpt.queue_seconds": job.queue_seconds,
            "xmdpt.steps": job.request.params.num_steps,
            "xmdpt.images": job.request.num_images,
        }
        recorded = _begin(self._recorder, "job", "consumer", _below(job.trace), attributes)
        return _JobSpan(self._recorder, recorded, job.id)

    def note_batch(self, stage: str, num_rows: int, jobs: Iterable[JobSpan], seconds: float, error: str = "") -> None:
        """As the protocol says."""
        own = [job for job in jobs if isinstance(job, _JobSpan)]
        if not own:
            return
        ended = time.time_ns()
        span = self._batch_recorder.start_span(
            f"batch {stage}",
            Context(),
            attributes={"xmdpt.stage": stage, "xmdpt.rows": num_rows, "xmdpt.job_ids": [job.job_id for job in own]},
            links=[Link(job.recorded.get_span_context()) for job in own],
            start_time=ended - _ns(seconds),
        )
        _end(span, ended, error=error)

    def close(self) -> None:
        """As the protocol says; 1 s at most."""
        # The processor would wait for a collector that hangs; its thread ends with the process.
        closing = threading.Thread(target=self._processor.shutdown, name="close tracing", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)

    def _make_recorder(self, sampler: Sampler, version: str) -> Recorder:
        provider = TracerProvider(sampler, self._resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        return provider.get_tracer("xmdpt-serve", version)


class _Span:
    """Span."""

    def __init__(self, recorder: Recorder, recorded: RecordedSpan) -> None:
        self._recorder, self._recorded = recorder, recorded
        context = recorded.get_span_context()
        self.context = TraceContext(
            f"{context.trace_id:032x}", f"{context.span_id:016x}", is_sampled=context.trace_flags.sampled
        )

    def begin(self, name: str, kind: SpanKind = "internal") -> "_Span":
        above = set_span_in_context(self._recorded, Context())
        return _Span(self._recorder, _begin(self._recorder, name, kind, above, {}))

    def end(self, attributes: Attributes | None = None, *, name: str = "", error: str = "") -> None:
        if name:
            self._recorded.update_name(name)
        if attributes:
            self._recorded.set_attributes(dict(attributes))
        _end(self._recorded, None, error=error)


@dataclass
class _StageTimes:
    """Nanoseconds since 1970 of its first and last moment, and what was done between them."""

    began: int
    ended: int
    num_pieces: int = 0
    busy_seconds: float = 0.0


class _JobSpan:
    """JobSpan; its stages are recorded when it ends, each as one span from its first piece to its last."""

    def __init__(self, recorder: Recorder, recorded: RecordedSpan, job_id: str) -> None:
        self.recorded, self.job_id = recorded, job_id
        self._recorder = recorder
        self._stages: dict[str, _StageTimes] = {}
        self._error = ""

    def spend(self, stage: str, seconds: float) -> None:
        ended = time.time_ns()
        times = self._stages.setdefault(stage, _StageTimes(ended - _ns(seconds), ended))
        times.ended = ended
        times.num_pieces += 1
        times.busy_seconds += seconds

    def fail(self, code: str) -> None:
        self._error = code

    def end(self, state: str, cache: Mapping[str, str]) -> None:
        above = set_span_in_context(self.recorded, Context())
        for stage, times in self._stages.items():
            attributes = {"xmdpt.pieces": times.num_pieces, "xmdpt.busy_seconds": times.busy_seconds}
            self._recorder.start_span(stage, above, attributes=attributes, start_time=times.began).end(times.ended)
        self.recorded.set_attribute("xmdpt.outcome", state)
        self.recorded.set_attributes({f"xmdpt.cache.{kind}": result for kind, result in cache.items()})
        _end(self.recorded, None, error=self._error)


class _PatientExporter(SpanExporter):
    """Says that spans are lost when that begins, again each minute, and when it is over."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter, self._endpoint = exporter, endpoint
        self._num_lost = 0
        self._complain_at = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._num_lost:
                get_logger().info("traces are sent again", collector=self._endpoint, lost=self._num_lost)
            self._num_lost, self._complain_at = 0, 0.0
            return result
        self._num_lost += len(spans)
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + _COMPLAIN_EVERY_SECONDS
            get_logger().warning("traces can't be sent", collector=self._endpoint, lost=self._num_lost)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _begin(recorder: Recorder, name: str, kind: SpanKind, above: Context, attributes: Attributes) -> RecordedSpan:
    return recorder.start_span(name, above, _KINDS[kind], dict(attributes))


def _end(span: RecordedSpan, ended: int | None, *, error: str) -> None:
    if error:
        span.set_attribute("error.type", error)
        span.set_status(StatusCode.ERROR)
    span.end(ended)


def _below(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.is_sampled else TraceFlags.DEFAULT)
    above = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(above), Context())


def _ns(seconds: float) -> int:
    return round(1e9 * seconds)
