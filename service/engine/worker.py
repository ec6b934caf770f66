"""The worker's loop: hear what happened, tell the scheduler, perform what it asks.

All decisions about batches are the scheduler's, all decisions about jobs the queue's; this is the shell between them.
Whatever waits for the queue, the store or a codec is done in other threads, whose news come through the inbox.
"""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue

from service.domain.capacity import WorkerReport
from service.domain.errors import (
    BackendError,
    BackendUnavailableError,
    ResourceExhaustedError,
    ServiceError,
    StorageError,
)
from service.domain.job import JobFailure
from service.domain.stage import Stage
from service.engine.delivery import Delivery
from service.engine.executor import Executor
from service.engine.flight import Flight
from service.engine.heartbeat import Heartbeat
from service.engine.intake import Arrival, Intake, IntakeTargets
from service.engine.presence import Presence
from service.engine.preview import PreviewProjection
from service.engine.previews import Previews
from service.engine.vectors import Vectors
from service.engine.warmup import stage_calls
from service.engine.working_set import WorkingSet
from service.ports.backend import F32, InferenceBackend
from service.ports.blobs import BlobStore
from service.ports.queue import JobLeases, News
from service.ports.vectors import VectorCache
from service.ports.workers import WorkerAnnouncements
from service.scheduling.actions import Action, CancelJob, DropJob, EndJob, ReleaseJob, RunBatch
from service.scheduling.events import (
    BatchFailed,
    BatchFinished,
    CancelRequested,
    DrainRequested,
    JobArrived,
    LeaseLost,
)
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from service.telemetry.logs import get_logger
from service.telemetry.metrics import WorkerMetrics
from xmdpt.spec import VARIANTS, Variant

_IDLE_TURN_SECONDS = 1.0
# Pictures are encoded, made durable and told to the queue beside the device, several at a time: most of it is waiting.
_NUM_DELIVERERS = 4
# The queue's clock decides what is late; a worker that is a moment early would find no deadline passed there.
_DEADLINE_GRACE_SECONDS = 0.1
# With the store away, claiming would only hand jobs back.
_STORE_PAUSE_SECONDS = 2.0
_ENCODERS = (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE)


@dataclass(frozen=True)
class WorkerTimes:
    """Times of the loop.

    Attributes:
        heartbeat_seconds: between two reports to the queue.
        lease_seconds: how long the queue believes a silent worker.
        drain_seconds: after a stop is asked for, how long jobs may still finish here.
        max_turn_seconds: one turn of the loop may last this long before the worker counts as dead.
    """

    heartbeat_seconds: float
    lease_seconds: float
    drain_seconds: float
    max_turn_seconds: float


@dataclass(frozen=True)
class WorkerPorts:
    """What is shared with other processes.

    Attributes:
        leases: the queue.
        blobs: pictures.
        vectors: source and pose vectors.
        announcements: who works, and how fast.
    """

    leases: JobLeases
    blobs: BlobStore
    vectors: VectorCache
    announcements: WorkerAnnouncements


class Worker:
    """One device's loop; `run` returns when a stop was asked for and every job has left."""

    def __init__(
        self,
        backend: InferenceBackend,
        ports: WorkerPorts,
        report: WorkerReport,
        projection: PreviewProjection,
        times: WorkerTimes,
        metrics: WorkerMetrics,
    ) -> None:
        """The graphs must be warm; nothing is claimed before `run`."""
        variant: Variant = VARIANTS[backend.variant]
        capacity = report.capacity
        self._backend, self._times, self._metrics = backend, times, metrics
        self._num_slots = capacity.num_slots
        policy = BatchPolicy(capacity.max_batch, capacity.num_slots, is_shortest_first=capacity.is_shortest_first)
        self._scheduler = Scheduler(policy, capacity.execution)
        self._set = WorkingSet(capacity.num_slots, variant.width)
        self._executor = Executor(backend, self._set)
        self._delivery = Delivery(ports.leases, ports.blobs, times.lease_seconds, metrics)
        self._deliverers = ThreadPoolExecutor(_NUM_DELIVERERS, "delivery")
        self._previews = Previews(projection, ports.blobs, self._deliverers, metrics)
        self._flights: dict[str, Flight] = {}
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._heartbeat = Heartbeat(
            ports.leases,
            times.heartbeat_seconds,
            times.lease_seconds,
            lambda flight: self._inbox.put(partial(self._lose, flight)),
            lambda flight: self._inbox.put(partial(self._cancel, flight)),
            self._die,
        )
        self._vectors = Vectors(ports.vectors, backend.model_digest)
        targets = IntakeTargets(
            lambda arrival: self._inbox.put(partial(self._arrive, arrival)), self._refuse, self._die
        )
        self._intake = Intake(
            ports.leases,
            ports.blobs,
            self._vectors,
            self._heartbeat,
            variant.prediction,
            self._flights,
            targets,
            metrics,
        )
        self._presence = Presence(ports.leases, ports.announcements, report, self._hear, self._die)
        self._log = get_logger()
        self._execution = capacity.execution
        self._is_stopping = False
        self._drain_at: float | None = None
        self._is_closed = False
        self._fatal_error: BaseException | None = None
        self._num_arrived = 0
        self._last_turn = time.monotonic()
        metrics.step_slots.set(capacity.num_slots)
        metrics.ready.set_function(lambda: float(self.is_ready))

    def stop(self) -> None:
        """Ask `run` to return; asked twice, it hands back what it holds at once. A signal handler may call this."""
        if self._is_stopping:
            self._drain_at = 0.0
        self._is_stopping = True
        self._inbox.put(_nothing)

    @property
    def is_alive(self) -> bool:
        """False once the loop has hung for longer than a turn may last."""
        return time.monotonic() - self._last_turn < self._times.max_turn_seconds

    @property
    def is_ready(self) -> bool:
        """True while new jobs would be claimed and kept."""
        # With jobs in flight the heartbeat knows, without any the claims do.
        is_queue_answering = self._heartbeat.is_answered and (self._intake.is_queue_answering or bool(self._flights))
        return self.is_alive and not self._is_stopping and is_queue_answering

    def run(self) -> None:
        """Work until `stop`; then finish what fits into the drain time and hand back the rest.

        Raises:
            BackendUnavailableError: the device went before a stop was asked for; every job has been handed back.
            BaseException: whatever ended a thread that the worker can't do without; likewise.
        """
        threads = (self._heartbeat, self._presence, self._intake)
        for thread in threads:
            thread.start()
        try:
            is_busy = True  # The first turn only makes the first offer.
            while self._flights or not self._is_closed:
                is_busy = self._turn(is_busy)
        finally:
            self._intake.stop_claiming()
            self._deliverers.shutdown()
            for thread in threads:
                thread.stop()
        if self._fatal_error:
            raise self._fatal_error

    def _turn(self, is_busy: bool) -> bool:
        """Do everything that is to be done now; returns whether there was anything, so that more may follow."""
        self._last_turn = time.monotonic()
        self._read_inbox(0.0 if is_busy else self._idle_seconds())
        now = time.monotonic()
        if self._is_stopping:
            self._drain(now)
        actions = self._scheduler.next_actions(now)
        for action in actions:
            self._perform(action)
        # Pictures that wait for the store or the queue hold no slot, but memory.
        most_more = 2 * self._num_slots - len(self._flights)
        self._intake.offer(min(self._scheduler.free_slots(), most_more), self._num_arrived)
        return bool(actions)

    def _idle_seconds(self) -> float:
        """How long nothing needs to be done unless something happens."""
        times = [self._scheduler.next_wakeup(), self._drain_at if not self._scheduler.is_idle else None]
        now = time.monotonic()
        return max(0.0, min([_IDLE_TURN_SECONDS, *(at - now for at in times if at is not None)]))

    def _read_inbox(self, patience_seconds: float) -> None:
        try:
            if patience_seconds:
                self._inbox.get(timeout=patience_seconds)()
            while True:
                self._inbox.get_nowait()()
        except Empty:
            return

    def _hear(self, news: AbstractSet[News]) -> None:
        if "work" in news:
            self._intake.hear_of_work()
        if "cancel" in news:
            self._heartbeat.beat_now()

    def _arrive(self, arrival: Arrival) -> None:
        flight, job = arrival.flight, arrival.flight.job
        self._num_arrived += 1
        if flight.is_lost:
            self._hand_back(flight)
            return
        slot = self._set.add(flight.key, arrival.prepared)
        at_hand = arrival.supply.at_hand
        if Stage.ENCODE_SOURCE in at_hand:
            self._set.source_vector[slot] = at_hand[Stage.ENCODE_SOURCE]
        if Stage.ENCODE_POSE in at_hand:
            self._set.pose_vector[slot] = at_hand[Stage.ENCODE_POSE]
        event = JobArrived(
            flight.key,
            job.request.params.num_steps,
            frozenset(at_hand),
            job.is_suspect,
            job.priority,
            flight.arrived + job.seconds_left + _DEADLINE_GRACE_SECONDS,
        )
        self._scheduler.handle(event, time.monotonic())

    def _refuse(self, flight: Flight, error: ServiceError) -> None:
        """Its pictures can't be read: the one failure before the scheduler knows the job."""
        if isinstance(error, StorageError):
            # Not the job's fault, and the next ones would fare no better.
            self._intake.pause(_STORE_PAUSE_SECONDS)
            self._hand_back(flight)
            return
        failure = JobFailure(error.code, error.detail)
        self._send_off(flight, partial(self._delivery.fail, flight.job, failure, may_retry=False))

    def _hand_back(self, flight: Flight) -> None:
        """To the queue, unharmed; if it was lost to another worker, the queue knows better and says so."""
        self._send_off(flight, partial(self._delivery.release, flight.job))

    def _lose(self, flight: Flight) -> None:
        if self._intake.withdraw(flight):
            self._hand_back(flight)
        self._scheduler.handle(LeaseLost(flight.key), time.monotonic())

    def _cancel(self, flight: Flight) -> None:
        if self._intake.withdraw(flight):
            self._send_off(flight, partial(self._delivery.cancel, flight.job))
        self._scheduler.handle(CancelRequested(flight.key), time.monotonic())

    def _drain(self, now: float) -> None:
        if self._drain_at is None:
            self._drain_at = now + self._times.drain_seconds
            self._log.info("draining", jobs=len(self._flights), seconds=self._times.drain_seconds)
        self._intake.stop_claiming()
        self._is_closed = True
        if now >= self._drain_at:
            self._scheduler.handle(DrainRequested(), now)
            for flight in self._intake.take_parked():
                self._hand_back(flight)

    def _perform(self, action: Action) -> None:
        match action:
            case RunBatch():
                self._run_batch(action)
                return
            case EndJob() | CancelJob() | ReleaseJob() | DropJob():
                flight = self._flights[action.job_id]
                picture = self._set.remove(flight.key)
        match action:
            case EndJob(failure=JobFailure() as failure):
                self._send_off(flight, partial(self._delivery.fail, flight.job, failure, may_retry=True))
            case EndJob():
                assert picture is not None
                self._send_off(flight, partial(self._delivery.succeed, flight, picture, self._backend))
            case CancelJob():
                self._send_off(flight, partial(self._delivery.cancel, flight.job))
            case ReleaseJob() | DropJob():
                self._hand_back(flight)

    def _run_batch(self, batch: RunBatch) -> None:
        """Run it and answer the scheduler, whatever happens."""
        flights = [self._flights[row.job_id] for row in batch.rows]
        for flight in flights:
            flight.stage = batch.stage
        started = time.monotonic()
        try:
            self._executor.run(batch)
        except BackendError as error:
            outcome = self._failed(batch, error)
        except Exception:
            # The loop outlives what nobody foresaw; the client is told no detail.
            outcome = BatchFailed(batch.batch_id, JobFailure("internal_error", "the worker met an unexpected error"))
            self._log.exception("batch failed unexpectedly", stage=batch.stage, rows=len(flights))
        else:
            outcome = BatchFinished(batch.batch_id)
            self._account(batch, flights, time.monotonic() - started)
        self._scheduler.handle(outcome, time.monotonic())

    def _failed(self, batch: RunBatch, error: BackendError) -> BatchFailed:
        self._log.warning(
            "batch failed",
            stage=batch.stage,
            rows=len(batch.rows),
            code=error.code,
            detail=error.detail,
            cause=str(error.__cause__ or ""),
        )
        if type(error) is BackendError and len(batch.rows) == 1 and self._is_device_broken(batch.stage):
            error = BackendUnavailableError(f"{batch.stage}: no call of it works any more")
        if isinstance(error, BackendUnavailableError):
            self._give_up(error)
        return BatchFailed(
            batch.batch_id,
            JobFailure(error.code, error.detail),
            is_out_of_memory=isinstance(error, ResourceExhaustedError),
            is_device_gone=isinstance(error, BackendUnavailableError),
        )

    def _is_device_broken(self, stage: Stage) -> bool:
        """A job failed alone: true if arrays of zeros fail as well, as after an error that a device does not forget."""
        num_rows = next(iter(self._backend.profile_sizes), 1)
        try:
            stage_calls(self._backend, num_rows, self._execution)[stage]()
        except BackendError:
            return True
        return False

    def _give_up(self, error: BaseException) -> None:
        """Hand everything back and end: this process can do no work, and others may."""
        if not self._is_stopping:
            self._fatal_error = error
        self._is_stopping = True
        self._drain_at = 0.0

    def _die(self, error: BaseException) -> None:
        """A thread has ended that the worker can't do without."""
        self._inbox.put(partial(self._give_up, error))

    def _account(self, batch: RunBatch, flights: list[Flight], seconds: float) -> None:
        """Note what the batch has done for its flights."""
        self._metrics.batch_seconds[batch.stage].observe(seconds)
        for flight in flights:
            flight.spend(batch.stage, seconds)
        if batch.stage in _ENCODERS:
            self._share_vectors(batch.stage, flights)
        elif batch.stage is Stage.DENOISE:
            for flight, row in zip(flights, batch.rows, strict=True):
                flight.step = row.step_index + 1
                if flight.job.request.output.preview_every_steps:
                    self._previews.offer(flight, self._set.previous_denoised[self._set.slot(flight.key)])
            self._metrics.count_steps(len(flights), 1)
        elif batch.stage is Stage.SAMPLE:
            for flight in flights:
                flight.step = flight.job.request.params.num_steps
            # The scheduler puts jobs of one number of steps into it.
            self._metrics.count_steps(len(flights), flights[0].step)

    def _share_vectors(self, stage: Stage, flights: list[Flight]) -> None:
        rows = self._set.source_vector if stage is Stage.ENCODE_SOURCE else self._set.pose_vector
        for flight in flights:
            self._deliverers.submit(self._share_vector, flight, stage, rows[self._set.slot(flight.key)].copy())

    def _share_vector(self, flight: Flight, stage: Stage, vector: F32) -> None:
        self._vectors.made(flight, stage, vector)
        self._intake.hear_of_vectors()

    def _send_off(self, flight: Flight, tell_queue: Callable[[], str]) -> None:
        self._deliverers.submit(self._deliver, flight, tell_queue)

    def _deliver(self, flight: Flight, tell_queue: Callable[[], str]) -> None:
        state = "lost"
        try:
            state = self._tell(flight, tell_queue)
        finally:
            # Whatever happens: a flight that stayed would be kept by the heartbeat for ever.
            self._leave(flight, state)
        if state == "released" and not self._is_stopping:
            # The store is away, or the queue was.
            self._intake.pause(_STORE_PAUSE_SECONDS)

    def _tell(self, flight: Flight, tell_queue: Callable[[], str]) -> str:
        try:
            return tell_queue()
        except Exception:
            self._log.exception("a job could not be delivered", job=flight.job.id)
            failure = JobFailure("internal_error", "the worker met an unexpected error")
            return self._delivery.fail(flight.job, failure, may_retry=True)

    def _leave(self, flight: Flight, state: str) -> None:
        self._vectors.give_up(flight)
        self._intake.hear_of_vectors()
        self._heartbeat.forget(flight)
        del self._flights[flight.key]
        if flight.job.is_suspect or not self._flights:
            # What the queue gives to nobody but an empty worker may be waiting.
            self._intake.hear_of_work()
        self._inbox.put(_nothing)
        seconds = time.monotonic() - flight.arrived
        if flight.is_lost and state in ("lost", "released"):
            self._metrics.lease_lost.inc()
        self._metrics.jobs.labels(state).inc()
        self._metrics.job_seconds.labels(state).observe(seconds)
        self._log.info("job left", job=flight.job.id, state=state, seconds=round(seconds, 4))


def _nothing() -> None:
    """Wakes the loop."""
