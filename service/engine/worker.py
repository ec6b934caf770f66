"""The worker's loop: hear what happened, tell the scheduler, perform what it asks.

All decisions about batches are the scheduler's, all decisions about jobs the queue's; this is the shell between them.
Whatever waits for the queue, the store or a codec is done in other threads, whose news come through the inbox.
"""

import math
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue

from service.domain.capacity import WorkerReport
from service.domain.errors import BackendUnavailableError, ServiceError, StorageError
from service.domain.job import UNFORESEEN, JobFailure
from service.domain.request import MAX_IMAGES
from service.domain.stage import Stage
from service.engine.batch_runner import BatchRunner
from service.engine.delivery import Delivery, Patience
from service.engine.departures import Departures
from service.engine.flight import Flight
from service.engine.heartbeat import Heartbeat
from service.engine.images import Departure, Images
from service.engine.intake import Arrival, Intake, IntakeTargets
from service.engine.preparation import prepare
from service.engine.presence import Presence
from service.engine.preview import PreviewProjection
from service.engine.previews import Previews
from service.engine.tally import Tally
from service.engine.vectors import Vectors
from service.engine.wishes import Wish, Wishes
from service.engine.working_set import WorkingSet
from service.ports.backend import F32, InferenceBackend
from service.ports.blobs import BlobStore
from service.ports.queue import JobLeases, News, QueueFunctions
from service.ports.vectors import VectorCache
from service.ports.workers import WorkerAnnouncements
from service.scheduling.actions import Action, CancelJob, DropJob, EndJob, ReleaseJob, RunBatch
from service.scheduling.events import BatchFailed, DrainRequested
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from service.telemetry.logs import get_logger
from service.telemetry.metrics import WorkerMetrics
from service.telemetry.spans import Tracer
from xmdpt.spec import VARIANTS, Variant

_IDLE_TURN_SECONDS = 1.0
# Pictures are encoded, made durable and told to the queue beside the device, several at a time: most of it is waiting.
_NUM_DELIVERERS = 4
# Steps may follow one another so long without a turn of the loop: what is counted then is seen, and stops are near.
_LONGEST_RUN_SECONDS = 0.25
# With the store away, claiming would only hand jobs back.
_STORE_PAUSE_SECONDS = 2.0


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
        functions: what the queue's server must know.
    """

    leases: JobLeases
    blobs: BlobStore
    vectors: VectorCache
    announcements: WorkerAnnouncements
    functions: QueueFunctions


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
        software: str | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """The graphs must be warm; nothing is claimed before `run`. Pictures name `software` as their maker."""
        variant: Variant = VARIANTS[backend.variant]
        capacity = report.capacity
        self._backend, self._times, self._metrics = backend, times, metrics
        self._num_slots = capacity.num_slots
        policy = BatchPolicy(
            capacity.max_batch,
            capacity.num_slots,
            is_shortest_first=capacity.is_shortest_first,
            max_low_batch=capacity.max_low_batch,
        )
        self._scheduler = Scheduler(policy, capacity.execution, has_low_decoder=backend.has_low_decoder)
        # An empty worker is given a job of any size.
        working_set = WorkingSet(max(capacity.num_slots, MAX_IMAGES), variant.width)
        self._images = Images(self._scheduler, working_set)
        self._deliverers = ThreadPoolExecutor(_NUM_DELIVERERS, "delivery")
        previews = Previews(projection, ports.blobs, self._deliverers, metrics)
        share_vector = partial(self._deliverers.submit, self._share_vector)
        self._report, self._tally = report, Tally()
        self._batches = BatchRunner(
            backend,
            capacity.execution,
            working_set,
            self._images,
            previews,
            share_vector,
            self._wake_beside,
            self._tally,
            metrics,
            tracer,
        )
        self._flights: dict[str, Flight] = {}
        queue_patience = 2 * times.lease_seconds
        patience = Patience(queue_patience, min(queue_patience, times.max_turn_seconds / 2))
        delivery = Delivery(ports.leases, ports.blobs, patience, metrics, software)
        self._departures = Departures(delivery, self._deliverers, self._flights, self._left, metrics)
        self._leaving: list[Callable[[], None]] = []
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
        self._wishes = Wishes(ports.vectors, ports.blobs, backend.model_digest)
        targets = IntakeTargets(
            lambda arrival: self._inbox.put(partial(self._arrive, arrival)),
            self._refuse,
            lambda wish: self._inbox.put(partial(self._grant, wish)),
            self._die,
        )
        has_low = backend.low_precision is not None
        self._intake = Intake(
            ports.leases,
            lambda job, encoders: prepare(job, ports.blobs, variant.prediction, encoders, has_low_precision=has_low),
            self._vectors,
            self._wishes,
            self._heartbeat,
            self._flights,
            targets,
            metrics,
            tracer,
        )
        self._presence = Presence(
            ports.leases, ports.announcements, ports.functions, self._describe, self._hear, self._die
        )
        self._log = get_logger()
        self._is_stopping = False
        self._drain_at: float | None = None
        self._is_closed = False
        self._fatal_error: BaseException | None = None
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
        return self.is_alive and not self._is_stopping and is_queue_answering and self._presence.is_announced

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
        if not actions:
            if self._scheduler.is_idle:
                self._metrics.rest()
            self._wake_others()
        return bool(actions)

    def _wake_beside(self, stage: Stage) -> None:
        # The other calls last long enough for what is woken; beside this one it would only get in the loop's way.
        if stage is not Stage.CONDITION:
            self._wake_others()

    def _wake_others(self) -> None:
        """Give the other threads their work: as the device gets its own, or as there is none.

        Any sooner, they would take the interpreter from the loop while the device waits.
        """
        for leave in self._leaving:
            leave()
        self._leaving.clear()
        # Pictures that wait for the store or the queue hold no slot, but memory.
        most_more = 2 * self._num_slots - sum(flight.num_images for flight in list(self._flights.values()))
        self._intake.offer(min(self._scheduler.free_slots(), most_more), self._images.num_arrived)

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

    def _describe(self) -> WorkerReport:
        return replace(self._report, activity=self._tally.report(self._images.num_at_work))

    def _arrive(self, arrival: Arrival) -> None:
        if arrival.flight.is_lost:
            self._images.turn_away(arrival.flight)
            self._departures.hand_back(arrival.flight)
            return
        self._images.board(arrival, time.monotonic())

    def _refuse(self, flight: Flight, error: ServiceError) -> None:
        """Its pictures can't be read: the one failure before the scheduler knows the job."""
        if isinstance(error, StorageError):
            self._metrics.count_outage(error)
            # Not the job's fault, and the next ones would fare no better.
            self._intake.pause(_STORE_PAUSE_SECONDS)
            self._departures.hand_back(flight)
            return
        # What nobody foresaw may be a fault of this worker.
        may_retry = error.code == UNFORESEEN.code
        self._departures.fail(flight, JobFailure(error.code, error.detail), may_retry=may_retry)

    def _lose(self, flight: Flight) -> None:
        if self._intake.withdraw(flight):
            self._departures.hand_back(flight)
        self._images.lose(flight, time.monotonic())

    def _cancel(self, flight: Flight) -> None:
        if self._intake.withdraw(flight):
            self._departures.cancel(flight)
        self._images.cancel(flight, time.monotonic())

    def _drain(self, now: float) -> None:
        if self._drain_at is None:
            self._drain_at = now + self._times.drain_seconds
            self._log.info("draining", jobs=len(self._flights), seconds=self._times.drain_seconds)
        self._intake.stop_claiming()
        self._is_closed = True
        if now >= self._drain_at:
            self._scheduler.handle(DrainRequested(), now)
            for flight in self._intake.take_parked():
                self._departures.hand_back(flight)

    def _perform(self, action: Action) -> None:
        if isinstance(action, RunBatch):
            self._run_batch(action)
        elif departure := self._images.leave(action, time.monotonic()):
            self._leaving.append(partial(self._depart, departure))

    def _depart(self, departure: Departure) -> None:
        flight = departure.flight
        match departure.how:
            case EndJob(failure=JobFailure() as failure):
                self._departures.fail(flight, failure, may_retry=True)
            case EndJob():
                self._departures.succeed(flight, departure.pictures, self._backend)
            case CancelJob():
                self._departures.cancel(flight)
            case ReleaseJob() | DropJob():
                self._departures.hand_back(flight)

    def _run_batch(self, batch: RunBatch) -> None:
        until = min(self._scheduler.next_wakeup() or math.inf, time.monotonic() + _LONGEST_RUN_SECONDS)
        outcome = self._batches.run(batch, partial(self._may_go_on, until))
        if isinstance(outcome, BatchFailed) and outcome.is_device_gone:
            self._give_up(BackendUnavailableError(f"{batch.stage}: {outcome.failure.detail}"))
        self._scheduler.handle(outcome, time.monotonic())
        if not isinstance(outcome, BatchFailed):
            self._images.follow(batch, time.monotonic())

    def _may_go_on(self, until: float) -> bool:
        """Whether nothing has happened that could change what is to be done; asked between steps."""
        now = self._last_turn = time.monotonic()
        return self._inbox.empty() and now < until

    def _give_up(self, error: BaseException) -> None:
        """Hand everything back and end: this process can do no work, and others may."""
        if not self._is_stopping:
            self._fatal_error = error
        self._is_stopping = True
        self._drain_at = 0.0

    def _die(self, error: BaseException) -> None:
        """A thread has ended that the worker can't do without."""
        self._inbox.put(partial(self._give_up, error))

    def _share_vector(self, flight: Flight, stage: Stage, vector: F32) -> None:
        self._vectors.made(flight, stage, vector)
        self._intake.hear_of_vectors()

    def _grant(self, wish: Wish) -> None:
        """A picture's vector that no job needs yet; a stop does not wait for it."""
        vector = None if self._is_stopping else self._batches.encode(wish)
        if vector is None:
            self._deliverers.submit(self._wishes.give_up, wish)
        else:
            self._deliverers.submit(self._wishes.grant, wish, vector)
        self._intake.wish_ended()

    def _left(self, flight: Flight, state: str) -> None:
        if state == "succeeded":
            self._tally.count_pictures(flight.num_images)
        self._heartbeat.forget(flight)
        self._vectors.give_up(flight)
        self._intake.hear_of_vectors()
        if state == "released" and not self._is_stopping:
            # The store is away, or the queue was.
            self._intake.pause(_STORE_PAUSE_SECONDS)
        if flight.job.is_suspect or not self._flights:
            # What the queue gives to nobody but an empty worker may be waiting.
            self._intake.hear_of_work()
        self._inbox.put(_nothing)


def _nothing() -> None:
    """Wakes the loop."""
