"""How flights leave the worker: told to the queue beside the loop, several at a time, and gone whatever happens.

What is told, and in which order bytes and words go, is `service.engine.delivery`'s.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

from service.domain.job import UNFORESEEN, JobFailure
from service.engine.delivery import Delivery
from service.engine.flight import Flight
from service.ports.backend import U8, InferenceBackend
from service.telemetry.logs import get_logger, traced_lines
from service.telemetry.metrics import WorkerMetrics


class Departures:
    """Each method returns at once; the flight has left when `on_left` is called."""

    def __init__(
        self,
        delivery: Delivery,
        threads: Executor,
        flights: dict[str, Flight],
        on_left: Callable[[Flight, str], None],
        metrics: WorkerMetrics,
    ) -> None:
        """The flights are all that the worker holds, by key.

        Args:
            delivery: tells the queue.
            threads: where that is done.
            flights: a flight is removed from it when it has left.
            on_left: called then, from one of the threads, with how it left, as the metrics name it.
            metrics: the worker's.
        """
        self._delivery, self._threads, self._flights = delivery, threads, flights
        self._on_left, self._metrics = on_left, metrics
        self._log = get_logger()

    def succeed(self, flight: Flight, pictures: Sequence[U8], backend: InferenceBackend) -> None:
        """With its pictures, [256,256,3] uint8 RGB each."""
        self._send_off(flight, partial(self._delivery.succeed, flight, pictures, backend, time.monotonic()))

    def fail(self, flight: Flight, failure: JobFailure, *, may_retry: bool) -> None:
        """Without any."""
        if flight.span is not None:
            flight.span.fail(failure.code)
        self._send_off(flight, partial(self._delivery.fail, flight.job, failure, may_retry=may_retry))

    def cancel(self, flight: Flight) -> None:
        """As nobody wants it any more, or its deadline is over."""
        self._send_off(flight, partial(self._delivery.cancel, flight.job))

    def hand_back(self, flight: Flight) -> None:
        """To the queue, unharmed; if it was lost to another worker, the queue knows better and says so."""
        self._send_off(flight, partial(self._delivery.release, flight.job))

    def _send_off(self, flight: Flight, tell_queue: Callable[[], str]) -> None:
        self._threads.submit(self._deliver, flight, tell_queue)

    def _deliver(self, flight: Flight, tell_queue: Callable[[], str]) -> None:
        state, started = "lost", time.monotonic()
        with traced_lines(flight.job.trace):
            try:
                state = self._tell(flight, tell_queue)
            finally:
                # Whatever happens: a flight that stayed would be kept by the heartbeat for ever.
                del self._flights[flight.key]
                self._on_left(flight, state)
                self._note(flight, state)
                if flight.span is not None:
                    # Encoding comes first, and is a stage of its own.
                    encode_seconds = flight.stage_seconds.get("encode_output", 0.0)
                    flight.span.spend("finish", time.monotonic() - started - encode_seconds)
                    flight.span.end(state, flight.cache)

    def _tell(self, flight: Flight, tell_queue: Callable[[], str]) -> str:
        try:
            return tell_queue()
        except Exception:
            self._log.exception("a job could not be delivered", job=flight.job.id)
            if flight.span is not None:
                flight.span.fail(UNFORESEEN.code)
            return self._delivery.fail(flight.job, UNFORESEEN, may_retry=True)

    def _note(self, flight: Flight, state: str) -> None:
        seconds = time.monotonic() - flight.arrived
        if flight.is_lost and state in ("lost", "released"):
            self._metrics.lease_lost.inc()
        self._metrics.jobs.labels(state).inc()
        model = flight.job.request.model
        self._metrics.job_seconds.labels(model, state).observe(seconds)
        if state == "succeeded":
            self._metrics.images.labels(model).inc(flight.num_images)
        self._log.info("job left", job=flight.job.id, state=state, seconds=round(seconds, 4))
