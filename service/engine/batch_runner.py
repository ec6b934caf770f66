"""Runs one batch and says what came of it: for the scheduler as an event, for its flights as progress and time.

The arrays are `service.engine.executor`'s; which rows run is the scheduler's choice.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from service.domain.errors import BackendError, BackendUnavailableError, ResourceExhaustedError
from service.domain.execution import Execution
from service.domain.job import UNFORESEEN, JobFailure
from service.domain.stage import Stage
from service.domain.trace_context import TraceContext
from service.engine.executor import Executor
from service.engine.flight import Flight
from service.engine.images import Images
from service.engine.previews import Previews
from service.engine.tally import Tally
from service.engine.warmup import stage_calls
from service.engine.wishes import Wish
from service.engine.working_set import WorkingSet
from service.ports.backend import F32, InferenceBackend
from service.scheduling.actions import RunBatch
from service.scheduling.events import BatchFailed, BatchFinished
from service.scheduling.progress import STEPS
from service.telemetry.logs import get_logger, traced_lines
from service.telemetry.metrics import WorkerMetrics
from service.telemetry.spans import Tracer


class BatchRunner:
    """The batches of one device."""

    def __init__(
        self,
        backend: InferenceBackend,
        execution: Execution,
        working_set: WorkingSet,
        images: Images,
        previews: Previews,
        on_vector: Callable[[Flight, Stage, F32], object],
        before_call: Callable[[Stage], None],
        tally: Tally,
        metrics: WorkerMetrics,
        tracer: Tracer | None = None,
    ) -> None:
        """`on_vector` gets each vector [D] that an encoder has made, to keep; `before_call` is the executor's."""
        self._backend, self._execution, self._set, self._images = backend, execution, working_set, images
        self._executor = Executor(backend, working_set, before_call)
        self._previews, self._on_vector = previews, on_vector
        self._tally, self._metrics, self._tracer = tally, metrics, tracer
        self._log = get_logger()

    def run(self, batch: RunBatch, may_go_on: Callable[[], bool]) -> BatchFinished | BatchFailed:
        """Run it, whatever happens; with `is_device_gone` no other batch would fare better.

        Args:
            batch: what to run.
            may_go_on: asked between its steps.
        """
        in_batch = [self._images.flight(row.job_id) for row in batch.rows]
        for flight in in_batch:
            flight.stage = batch.stage
        if batch.stage in STEPS or batch.stage is Stage.SAMPLE:
            self._metrics.begin_steps(len(in_batch))
        seconds = list[float]()
        while len(seconds) < batch.num_steps and (not seconds or may_go_on()):
            outcome = self._run_step(batch, len(seconds), in_batch)
            if isinstance(outcome, BatchFailed):
                self._account(batch, in_batch, seconds)
                return replace(outcome, num_steps=len(seconds))
            seconds.append(outcome)
            self._advance(batch, len(seconds), in_batch, outcome)
        self._account(batch, in_batch, seconds)
        return BatchFinished(batch.batch_id, len(seconds))

    def _run_step(self, batch: RunBatch, step: int, in_batch: list[Flight]) -> float | BatchFailed:
        """One of the steps, from 0 on; of a batch of another stage the only one. Returns how long it took."""
        started = time.monotonic()
        try:
            self._executor.run(batch, step)
        except BackendError as error:
            self._trace(batch, in_batch, time.monotonic() - started, error.code)
            with traced_lines(_only_trace(in_batch)):
                return self._failed(batch, error)
        except Exception:
            self._trace(batch, in_batch, time.monotonic() - started, "internal_error")
            # The loop outlives what nobody foresaw.
            with traced_lines(_only_trace(in_batch)):
                self._log.exception("batch failed unexpectedly", stage=batch.stage, rows=len(in_batch))
            return BatchFailed(batch.batch_id, UNFORESEEN)
        seconds = time.monotonic() - started
        self._trace(batch, in_batch, seconds)
        return seconds

    def encode(self, wish: Wish) -> F32 | None:
        """The vector [D] of a picture that no job needs yet, None if there is none: its job will find out why."""
        try:
            return self._executor.encode(wish.stage, wish.picture)
        except BackendError as error:
            self._log.warning("wish failed", stage=wish.stage, code=error.code, detail=error.detail)
        except Exception:
            self._log.exception("wish failed unexpectedly", stage=wish.stage)
        return None

    def _failed(self, batch: RunBatch, error: BackendError) -> BatchFailed:
        self._log.warning(
            "batch failed",
            stage=batch.stage,
            rows=len(batch.rows),
            code=error.code,
            detail=error.detail,
            cause=str(error.__cause__ or ""),
        )
        is_gone = isinstance(error, BackendUnavailableError)
        if type(error) is BackendError and len(batch.rows) == 1:
            is_gone = self._is_device_broken(batch.stage)
        return BatchFailed(
            batch.batch_id,
            JobFailure(error.code, error.detail),
            is_out_of_memory=isinstance(error, ResourceExhaustedError),
            is_device_gone=is_gone,
        )

    def _is_device_broken(self, stage: Stage) -> bool:
        """A job failed alone: true if arrays of zeros fail as well, as after an error that a device does not forget."""
        num_rows = next(iter(self._backend.profile_sizes), 1)
        try:
            stage_calls(self._backend, num_rows, self._execution)[stage]()
        except BackendError:
            return True
        return False

    def _trace(self, batch: RunBatch, flights: list[Flight], seconds: float, error: str = "") -> None:
        if self._tracer is not None:
            spans = [flight.span for flight in dict.fromkeys(flights) if flight.span is not None]
            self._tracer.note_batch(batch.stage, len(batch.rows), spans, seconds, error)

    def _advance(self, batch: RunBatch, num_steps: int, flights: list[Flight], seconds: float) -> None:
        """So many steps of the batch are done, one more than before: who looks at the flights sees it at once."""
        for flight in dict.fromkeys(flights):  # once, however many of its pictures shared it
            flight.spend(batch.stage, seconds)
        if batch.stage not in STEPS:
            return
        for flight, row in zip(flights, batch.rows, strict=True):
            flight.advance(1)
            if flight.job.request.output.preview_every_steps and self._images.is_first(row.job_id):
                denoised = partial(self._executor.denoised, row.job_id)
                self._previews.offer(flight, row.step_index + num_steps, denoised)

    def _account(self, batch: RunBatch, flights: list[Flight], seconds: Sequence[float]) -> None:
        """Note what the batch has done for the flights of its rows, and how long each of its steps took."""
        if not seconds:
            return
        for each in seconds:
            self._metrics.batch_seconds[batch.stage].observe(each)
        match batch.stage:
            case Stage.ENCODE_SOURCE | Stage.ENCODE_POSE:
                is_source = batch.stage is Stage.ENCODE_SOURCE
                vectors = self._set.source_vector if is_source else self._set.pose_vector
                for flight, row in zip(flights, batch.rows, strict=True):
                    self._on_vector(flight, batch.stage, vectors[self._set.slot(row.job_id)].copy())
            case Stage.DENOISE | Stage.DENOISE_LOW:
                self._count_steps(len(flights), len(seconds))
            case Stage.SAMPLE:
                # The scheduler puts jobs of one number of steps into it.
                num_steps = flights[0].job.request.params.num_steps
                for flight in flights:
                    flight.advance(num_steps)
                self._count_steps(len(flights), num_steps)
            case Stage.CONDITION | Stage.DECODE | Stage.DECODE_LOW:
                pass

    def _count_steps(self, num_rows: int, num_steps: int) -> None:
        self._metrics.count_steps(num_rows, num_steps)
        self._tally.count_steps(num_rows, num_steps)


def _only_trace(flights: list[Flight]) -> TraceContext | None:
    """The trace of a batch that is one job's."""
    return flights[0].job.trace if len(set(flights)) == 1 else None
