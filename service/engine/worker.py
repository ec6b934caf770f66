"""The worker's loop: claim, tell the scheduler, perform what it asks, report.

All decisions about batches are the scheduler's, all decisions about jobs the queue's; this is the shell between them.
"""

import threading
import time
from dataclasses import dataclass

from service.domain.errors import (
    BackendError,
    BackendUnavailableError,
    ResourceExhaustedError,
    ServiceError,
    StorageError,
)
from service.domain.job import ClaimedJob, JobFailure, JobId
from service.domain.stage import Stage
from service.engine.delivery import Delivery
from service.engine.executor import Executor
from service.engine.flight import Flight
from service.engine.heartbeat import Heartbeat
from service.engine.preparation import prepare
from service.engine.working_set import WorkingSet
from service.ports.backend import InferenceBackend
from service.ports.blobs import BlobStore
from service.ports.queue import JobLeases
from service.scheduling.actions import Action, DropJob, EndJob, ReleaseJob, RunBatch
from service.scheduling.events import BatchFailed, BatchFinished, DrainRequested, JobArrived, LeaseLost
from service.scheduling.scheduler import Scheduler
from service.telemetry.logs import get_logger
from service.telemetry.metrics import WorkerMetrics
from xmdpt.spec import VARIANTS, Prediction, Variant

# An idle worker asks again after this long even if no wake-up reached it.
_IDLE_WAIT_SECONDS = 1.0
# A busy worker that found the queue empty asks again after this long, so that a step doesn't pay for a call each time.
_BUSY_CLAIM_INTERVAL_SECONDS = 0.02
_OUTAGE_PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class WorkerLimits:
    """Times and sizes of the loop.

    Attributes:
        max_slots: jobs in flight.
        heartbeat_seconds: between two reports to the queue.
        lease_seconds: how long the queue believes a silent worker.
        drain_seconds: after a stop is asked for, how long jobs may still finish here.
        max_turn_seconds: one turn of the loop may last this long before the worker counts as dead.
    """

    max_slots: int
    heartbeat_seconds: float
    lease_seconds: float
    drain_seconds: float
    max_turn_seconds: float


class Worker:
    """One device's loop; `run` returns when a stop was asked for and every job has left."""

    def __init__(
        self,
        backend: InferenceBackend,
        leases: JobLeases,
        blobs: BlobStore,
        scheduler: Scheduler,
        limits: WorkerLimits,
        metrics: WorkerMetrics,
    ) -> None:
        """The graphs must be warm; nothing is claimed before `run`."""
        variant: Variant = VARIANTS[backend.variant]
        self._backend, self._leases, self._blobs = backend, leases, blobs
        self._scheduler, self._limits, self._metrics = scheduler, limits, metrics
        self._prediction: Prediction = variant.prediction
        self._set = WorkingSet(limits.max_slots, variant.width)
        self._executor = Executor(backend, self._set)
        self._heartbeat = Heartbeat(leases, limits.heartbeat_seconds, limits.lease_seconds)
        self._delivery = Delivery(leases, blobs, limits.lease_seconds, metrics)
        self._flights: dict[JobId, Flight] = {}
        self._log = get_logger()
        self._stop = threading.Event()
        self._drain_at: float | None = None
        self._device_error: BackendUnavailableError | None = None
        self._next_claim = 0.0
        self._last_turn = time.monotonic()
        self._is_queue_answering = False
        metrics.step_slots.set(limits.max_slots)
        metrics.ready.set_function(lambda: float(self.is_ready))

    def stop(self) -> None:
        """Ask `run` to return; asked twice, it hands back what it holds at once. A signal handler may call this."""
        if self._stop.is_set():
            self._drain_at = 0.0
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        """False once the loop has hung for longer than a turn may last."""
        return time.monotonic() - self._last_turn < self._limits.max_turn_seconds

    @property
    def is_ready(self) -> bool:
        """True while new jobs would be claimed and kept."""
        return self.is_alive and not self._stop.is_set() and self._is_queue_answering and self._heartbeat.is_answered

    def run(self) -> None:
        """Work until `stop`; then finish what fits into the drain time and hand back the rest.

        Raises:
            BackendUnavailableError: the device went before a stop was asked for; every job has been handed back.
        """
        self._heartbeat.start()
        try:
            while not (self._stop.is_set() and self._scheduler.is_idle):
                self._turn()
        finally:
            self._heartbeat.stop()
        if self._device_error:
            raise self._device_error

    def _turn(self) -> None:
        now = self._last_turn = time.monotonic()
        for job_id in self._heartbeat.take_lost():
            self._metrics.lease_lost.inc()
            self._scheduler.handle(LeaseLost(job_id), now)
        if self._stop.is_set():
            self._drain(now)
        # Before the claim: a job that was lost may come straight back and must find its old slot free.
        for action in self._scheduler.next_actions(now):
            self._perform(action)
        if not self._stop.is_set() and self._scheduler.free_slots() and time.monotonic() >= self._next_claim:
            self._claim()

    def _drain(self, now: float) -> None:
        if self._drain_at is None:
            self._drain_at = now + self._limits.drain_seconds
            self._log.info("draining", jobs=len(self._flights), seconds=self._limits.drain_seconds)
        if now >= self._drain_at:
            self._scheduler.handle(DrainRequested(), now)

    def _claim(self) -> None:
        """Take what fits; wait for work if there is neither any nor anything else to do."""
        try:
            claimed = self._leases.claim(self._scheduler.free_slots(), len(self._flights))
            self._is_queue_answering = True
            for job in claimed:
                self._heartbeat.track(job.id, job.fence)
            for job in claimed:
                self._arrive(job)
            if claimed:
                return
            if self._scheduler.is_idle:
                self._leases.wait_for_work(_IDLE_WAIT_SECONDS)
            else:
                self._next_claim = time.monotonic() + _BUSY_CLAIM_INTERVAL_SECONDS
        except StorageError as error:
            self._note_outage(error)

    def _note_outage(self, error: StorageError) -> None:
        if self._is_queue_answering:
            self._log.warning("queue unavailable", code=error.code, detail=error.detail)
        self._is_queue_answering = False
        self._metrics.redis_errors.inc()
        self._next_claim = time.monotonic() + _OUTAGE_PAUSE_SECONDS
        if self._scheduler.is_idle:
            self._stop.wait(_OUTAGE_PAUSE_SECONDS)

    def _arrive(self, job: ClaimedJob) -> None:
        self._metrics.queue_wait.observe(job.queue_seconds)
        started = time.monotonic()
        flight = self._flights[job.id] = Flight(job, started, {"queue": job.queue_seconds})
        try:
            prepared = prepare(job, self._blobs, self._prediction)
        except ServiceError as error:
            failure = JobFailure(error.code, error.detail)
            self._leave(job.id, self._delivery.fail(job, failure, may_retry=error.is_retryable))
            return
        self._spend([flight], "decode_input", time.monotonic() - started)
        self._set.add(job.id, prepared)
        event = JobArrived(job.id, job.request.params.num_steps, is_suspect=job.is_suspect)
        self._scheduler.handle(event, time.monotonic())
        self._log.info("job claimed", job=job.id, fence=job.fence, suspect=job.is_suspect)

    def _perform(self, action: Action) -> None:
        match action:
            case RunBatch():
                self._run_batch(action)
            case EndJob(job_id, None):
                state = self._delivery.succeed(self._flights[job_id], self._set.pictures[job_id], self._backend)
                self._leave(job_id, state)
            case EndJob(job_id, failure) if failure is not None:
                self._leave(job_id, self._delivery.fail(self._flights[job_id].job, failure, may_retry=True))
            case ReleaseJob(job_id):
                self._leave(job_id, self._delivery.release(self._flights[job_id].job))
            case DropJob(job_id):
                self._leave(job_id, "lost")

    def _run_batch(self, batch: RunBatch) -> None:
        """Run it and answer the scheduler, whatever happens."""
        job_ids = [row.job_id for row in batch.rows]
        self._heartbeat.advance(job_ids, batch.stage)
        started = time.monotonic()
        try:
            self._executor.run(batch)
        except BackendError as error:
            outcome = BatchFailed(
                batch.batch_id,
                JobFailure(error.code, error.detail),
                is_out_of_memory=isinstance(error, ResourceExhaustedError),
                is_device_gone=isinstance(error, BackendUnavailableError),
            )
            self._log.warning(
                "batch failed",
                stage=batch.stage,
                rows=len(job_ids),
                code=error.code,
                detail=error.detail,
                cause=str(error.__cause__ or ""),
            )
            if isinstance(error, BackendUnavailableError):
                self._give_up(error)
        except Exception:
            # The loop outlives what nobody foresaw; the client is told no detail.
            outcome = BatchFailed(batch.batch_id, JobFailure("internal_error", "the worker met an unexpected error"))
            self._log.exception("batch failed unexpectedly", stage=batch.stage, rows=len(job_ids))
        else:
            outcome = BatchFinished(batch.batch_id)
            self._spend([self._flights[job_id] for job_id in job_ids], batch.stage, time.monotonic() - started)
            self._count_steps(batch)
        self._scheduler.handle(outcome, time.monotonic())

    def _give_up(self, error: BackendUnavailableError) -> None:
        """Hand everything back and end: this process can do no work, and others may."""
        if not self._stop.is_set():
            self._device_error = error
        self._stop.set()
        self._drain_at = 0.0

    def _count_steps(self, batch: RunBatch) -> None:
        """Tell what the batch has denoised, if it has; a whole loop counts as the steps that are in it."""
        match batch.stage:
            case Stage.DENOISE:
                num_steps, done = 1, {row.job_id: row.step_index + 1 for row in batch.rows}
            case Stage.SAMPLE:
                # The scheduler puts jobs of one number of steps into it.
                num_steps = self._flights[batch.rows[0].job_id].job.request.params.num_steps
                done = {row.job_id: num_steps for row in batch.rows}
            case _:
                return
        self._heartbeat.count_steps(done.items())
        for _ in range(num_steps):
            self._metrics.step_batch_rows.observe(len(batch.rows))
        self._metrics.steps.inc(num_steps * len(batch.rows))

    def _spend(self, flights: list[Flight], stage: str, seconds: float) -> None:
        self._metrics.stage_seconds.labels(stage).observe(seconds)
        for flight in flights:
            flight.spend(stage, seconds)

    def _leave(self, job_id: JobId, state: str) -> None:
        flight = self._flights.pop(job_id)
        seconds = time.monotonic() - flight.arrived
        self._heartbeat.forget(job_id)
        self._set.remove(job_id)
        self._metrics.jobs.labels(state).inc()
        self._metrics.job_seconds.labels(state).observe(seconds)
        self._log.info("job left", job=job_id, state=state, seconds=round(seconds, 4))
