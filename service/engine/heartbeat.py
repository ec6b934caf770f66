"""Keeps the leases of the jobs in flight, in a thread of its own, and learns which are lost or no longer wanted.

It stops no job itself: the worker is told, and tells the scheduler.
"""

import threading
import time
from collections.abc import Callable

from service.domain.errors import StorageError
from service.domain.job import JobId
from service.engine.flight import Flight
from service.engine.watched_thread import WatchedThread
from service.ports.queue import JobLeases
from service.telemetry.logs import get_logger

# A lease is given up before the queue takes it away, so that two workers never both believe that they hold it.
_SELF_FENCE_RATIO = 0.8


class Heartbeat:
    """Reports every tracked job each interval, and at once when poked."""

    def __init__(
        self,
        leases: JobLeases,
        interval_seconds: float,
        lease_seconds: float,
        on_lost: Callable[[Flight], None],
        on_cancel: Callable[[Flight], None],
        on_death: Callable[[BaseException], None],
    ) -> None:
        """Nothing runs before `start`.

        Args:
            leases: the queue.
            interval_seconds: between two reports.
            lease_seconds: how long the queue believes a silent worker.
            on_lost: called once for a flight that is no longer ours, from this thread or from `track`'s.
            on_cancel: called with each report for a flight that nobody wants any more, until it has left.
            on_death: called if the thread ends by something unforeseen.
        """
        self._leases = leases
        self._interval = interval_seconds
        self._patience = _SELF_FENCE_RATIO * lease_seconds
        self._on_lost, self._on_cancel = on_lost, on_cancel
        self._lock = threading.Lock()
        self._flights: dict[JobId, Flight] = {}
        self._kept_until: dict[JobId, float] = {}
        self._is_stopping = False
        self._poke = threading.Event()
        self._thread = WatchedThread("heartbeat", self._run, on_death)
        self._log = get_logger()
        self.is_answered = True

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; leases run out by themselves."""
        self._is_stopping = True
        self._poke.set()
        self._thread.join()

    def beat_now(self) -> None:
        """Do not wait for the interval's end: a verdict may have changed."""
        self._poke.set()

    def track(self, flight: Flight) -> None:
        """Keep this lease from now on; call it right after the claim. An older flight of the job is lost by that."""
        with self._lock:
            older = self._flights.get(flight.job.id)
            self._flights[flight.job.id] = flight
            self._kept_until[flight.job.id] = time.monotonic() + self._patience
        if older:
            self._lose(older)

    def forget(self, flight: Flight) -> None:
        """The flight has left the worker."""
        with self._lock:
            if self._flights.get(flight.job.id) is flight:
                del self._flights[flight.job.id], self._kept_until[flight.job.id]

    def _run(self) -> None:
        while True:
            self._poke.wait(self._interval)
            self._poke.clear()
            if self._is_stopping:
                return
            self._beat()

    def _beat(self) -> None:
        with self._lock:
            flights = list(self._flights.values())
        sent = time.monotonic()
        try:
            reports = {flight.job.id: (flight.job.fence, flight.progress) for flight in flights}
            verdicts = self._leases.heartbeat(reports) if reports else {}
            self.is_answered = True
        except StorageError as error:
            verdicts = {}
            self.is_answered = False
            self._log.warning("heartbeat unanswered", code=error.code, jobs=len(flights))
        for flight in flights:
            self._judge(flight, verdicts.get(flight.job.id), sent)

    def _judge(self, flight: Flight, verdict: str | None, sent: float) -> None:
        job_id = flight.job.id
        with self._lock:
            if self._flights.get(job_id) is not flight:
                return  # It has left, or the job was claimed anew: the answer is about the delivery before.
            is_kept = verdict in ("ok", "cancel")
            if is_kept:
                self._kept_until[job_id] = sent + self._patience
            elif verdict == "lost" or time.monotonic() > self._kept_until[job_id]:
                del self._flights[job_id], self._kept_until[job_id]
            else:
                return
        if not is_kept:
            self._lose(flight)
        elif verdict == "cancel":
            self._on_cancel(flight)

    def _lose(self, flight: Flight) -> None:
        flight.is_lost = True
        self._on_lost(flight)
