"""Claims jobs and prepares them, in a thread of its own, so that the device never waits for the queue or the store.

It runs no graph; what is ready goes to the worker's loop, and what needs a vector that is being made waits here.
"""

import threading
import time
from collections.abc import Callable, Set
from dataclasses import dataclass

from service.domain.errors import ServiceError, StorageError
from service.domain.job import UNFORESEEN, ClaimedJob
from service.domain.request import MAX_IMAGES
from service.domain.stage import Stage
from service.engine.flight import Flight
from service.engine.heartbeat import Heartbeat
from service.engine.vectors import Supply, Vectors
from service.engine.watched_thread import WatchedThread
from service.engine.wishes import Wish, Wishes
from service.engine.working_set import PreparedJob
from service.ports.queue import JobLeases
from service.telemetry.logs import get_logger, traced_lines
from service.telemetry.metrics import WorkerMetrics
from service.telemetry.spans import Tracer

# A worker with room asks again after this long even if no wake-up reached it.
_ASK_EVERY_SECONDS = 1.0
_OUTAGE_PAUSE_SECONDS = 0.25
# A vector that another worker makes is asked for this often.
_PARKED_PAUSE_SECONDS = 0.02
_KINDS = {Stage.ENCODE_SOURCE: "source", Stage.ENCODE_POSE: "pose"}


@dataclass(frozen=True)
class Arrival:
    """A flight that is ready for the device.

    Attributes:
        flight: the claim.
        prepared: its noise, its plan, and the pictures that have to be encoded.
        supply: the vectors that need not be made.
    """

    flight: Flight
    prepared: PreparedJob
    supply: Supply


@dataclass(frozen=True)
class IntakeTargets:
    """Where things go; each is called from the intake's thread."""

    arrived: Callable[[Arrival], None]
    failed: Callable[[Flight, ServiceError], None]
    wished: Callable[[Wish], None]
    died: Callable[[BaseException], None]


class Intake:
    """Claims as much as the loop has offered to take."""

    def __init__(
        self,
        leases: JobLeases,
        prepared: Callable[[ClaimedJob, Set[Stage]], PreparedJob],
        vectors: Vectors,
        wishes: Wishes,
        heartbeat: Heartbeat,
        flights: dict[str, Flight],
        targets: IntakeTargets,
        metrics: WorkerMetrics,
        tracer: Tracer | None = None,
    ) -> None:
        """`flights` are all that the worker holds, by key: the intake adds, the worker removes.

        `prepared` makes arrays of a job whose encoders of these stages have to run; raises as `prepare`.
        """
        self._leases, self._prepared, self._vectors, self._heartbeat = leases, prepared, vectors, heartbeat
        self._wishes, self._is_granting = wishes, False
        self._flights, self._targets, self._metrics, self._tracer = flights, targets, metrics, tracer
        self._log = get_logger()
        self._changed = threading.Condition()
        self._claiming = threading.Lock()
        self._may_claim = True
        self._is_stopping = False
        self._room = 0  # pictures that may have been claimed in all, ever
        self._num_claimed = 0
        self._ask_at = 0.0
        self._resume_at = 0.0
        self._parked: dict[str, Flight] = {}
        self._is_parked_due = False
        self._thread = WatchedThread("intake", self._run, targets.died)
        self._is_claim_unanswered = False
        self._may_have_blocked = False
        self.is_queue_answering = False

    def start(self) -> None:
        """Begin to claim, as soon as there is an offer."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join()

    def stop_claiming(self) -> None:
        """Claim no more; when this returns, every claimed job is among the flights."""
        if not self._may_claim:
            return
        self._may_claim = False
        with self._claiming:
            # A claim whose answer was lost may have given jobs: asked again for none, the queue names them.
            flights = self._take(0) if self._is_claim_unanswered else []
        for flight in flights:
            self._prepare(flight)

    def pause(self, seconds: float) -> None:
        """Claim nothing for so long: what the worker needs besides the queue is away."""
        with self._changed:
            self._resume_at = time.monotonic() + seconds

    def offer(self, free_slots: int, num_arrived: int) -> None:
        """Say how many pictures may be claimed now, and how many arrivals have been seen when that was so."""
        with self._changed:
            if free_slots + num_arrived != self._room:
                if self._may_have_blocked:
                    self._ask_at = 0.0
                self._room = free_slots + num_arrived
                self._changed.notify()

    def hear_of_work(self) -> None:
        """A job may be waiting in the queue."""
        with self._changed:
            self._ask_at = 0.0
            self._changed.notify()

    def hear_of_vectors(self) -> None:
        """A vector was made here, or will not be."""
        with self._changed:
            self._is_parked_due = bool(self._parked)
            self._changed.notify()

    def wish_ended(self) -> None:
        """The device has done with a wish: there may be another one."""
        self._is_granting = False
        self.hear_of_work()

    def withdraw(self, flight: Flight) -> bool:
        """Forget a flight that waits for a vector; returns whether it did."""
        with self._changed:
            if self._parked.pop(flight.key, None) is None:
                return False
            self._num_claimed -= flight.num_images
            return True

    def take_parked(self) -> list[Flight]:
        """Forget all flights that wait for a vector."""
        with self._changed:
            flights = list(self._parked.values())
            self._num_claimed -= sum(flight.num_images for flight in flights)
            self._parked.clear()
            return flights

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_due, self._pause())
                if self._is_stopping:
                    return
                parked = list(self._parked.values())
                self._is_parked_due = False
                free = self._room - self._num_claimed
                is_asking = self._has_room() and time.monotonic() >= self._next_ask
                if is_asking:
                    # Before the call: a wake-up during it must lead to another one.
                    self._ask_at = time.monotonic() + _ASK_EVERY_SECONDS
            for flight in parked:
                self._supply(flight)
            if is_asking:
                self._claim(free)

    def _has_room(self) -> bool:
        return self._may_claim and self._room > self._num_claimed

    def _is_due(self) -> bool:
        is_asking = self._has_room() and time.monotonic() >= self._next_ask
        return self._is_stopping or self._is_parked_due or is_asking

    def _pause(self) -> float:
        if self._parked:
            return _PARKED_PAUSE_SECONDS
        return max(0.0, self._next_ask - time.monotonic()) if self._has_room() else _ASK_EVERY_SECONDS

    @property
    def _next_ask(self) -> float:
        return max(self._ask_at, self._resume_at)

    def _claim(self, free: int) -> None:
        with self._claiming:
            flights = self._take(free) if self._may_claim else []
        for flight in flights:
            self._prepare(flight)
        if self.is_queue_answering and self._may_claim and not self._flights and not self._is_granting:
            self._take_wish()

    def _take_wish(self) -> None:
        """Nobody has work for the device; one wish at a time, so that a job that comes waits for no more than that."""
        wish = self._wishes.take()
        if wish:
            self._is_granting = True
            self._targets.wished(wish)

    def _take(self, free: int) -> list[Flight]:
        """Claim what fits; from then on it is ours."""
        try:
            jobs = self._leases.claim(free, len(self._flights))
        except StorageError as error:
            self._is_claim_unanswered = True
            self._note_outage(error)
            return []
        num_images = sum(job.request.num_images for job in jobs)
        # What was given may be the lost answer of an earlier claim, for less room than there is now.
        may_be_more = self._is_claim_unanswered or num_images >= free
        # A job may be waiting that needs more room than was left.
        self._may_have_blocked = free - num_images < MAX_IMAGES
        self._is_claim_unanswered = False
        self.is_queue_answering = True
        flights = [self._flight(job) for job in jobs]
        for flight in flights:
            self._flights[flight.key] = flight
            self._heartbeat.track(flight)
        with self._changed:
            self._num_claimed += num_images
            if may_be_more:
                self._ask_at = 0.0
        return flights

    def _flight(self, job: ClaimedJob) -> Flight:
        span = None if self._tracer is None else self._tracer.begin_job(job)
        return Flight(job, time.monotonic(), stage_seconds={"queue": job.queue_seconds}, span=span)

    def _note_outage(self, error: StorageError) -> None:
        if self.is_queue_answering:
            self._log.warning("queue unavailable", code=error.code, detail=error.detail)
        self.is_queue_answering = False
        self._metrics.count_outage(error)
        with self._changed:
            self._ask_at = time.monotonic() + _OUTAGE_PAUSE_SECONDS

    def _prepare(self, flight: Flight) -> None:
        self._metrics.queue_wait.labels(flight.job.priority.value).observe(flight.job.queue_seconds)
        self._metrics.deliveries.inc()
        if flight.job.is_suspect:
            self._metrics.suspects.inc()
        with traced_lines(flight.job.trace):
            self._log.info("job claimed", job=flight.job.id, fence=flight.job.fence, suspect=flight.job.is_suspect)
        with self._changed:
            self._parked[flight.key] = flight
        self._supply(flight)

    def _supply(self, flight: Flight) -> None:
        """Send the flight on, unless somebody else is making a vector of its."""
        if flight.key not in self._parked:
            return  # It was withdrawn meanwhile.
        started = time.monotonic()
        supply = self._vectors.supply(flight)
        if supply.is_waiting:
            return
        with self._changed:
            is_ours = self._parked.pop(flight.key, None) is not None
        if not is_ours:
            self._vectors.give_up(flight)
            return
        for stage, kind in _KINDS.items():
            flight.cache[kind] = "hit" if stage in supply.at_hand else "miss"
            self._metrics.cache_requests.labels(kind, flight.cache[kind]).inc()
            if stage in supply.at_hand:
                flight.spend(stage, time.monotonic() - started)
        self._send_on(flight, supply)

    def _send_on(self, flight: Flight, supply: Supply) -> None:
        started = time.monotonic()
        try:
            prepared = self._prepared(flight.job, _KINDS.keys() - supply.at_hand.keys())
        except Exception as error:
            if not isinstance(error, ServiceError):
                # The worker outlives what nobody foresaw, and the job's end is told.
                self._log.exception("job could not be prepared", job=flight.job.id)
                error = ServiceError(UNFORESEEN.code, UNFORESEEN.detail)
            with self._changed:
                self._num_claimed -= flight.num_images
            self._targets.failed(flight, error)
            return
        seconds = time.monotonic() - started
        flight.spend("decode_input", seconds)
        self._targets.arrived(Arrival(flight, prepared, supply))
        self._metrics.stage_seconds.labels("decode_input").observe(seconds)
