"""How the deployment fares: for people, not for monitoring, which has its metrics."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.capacity import Eta, WorkerReport
from service.domain.errors import StorageError
from service.gateway.forecast import Forecasts, of_usual
from service.gateway.patience import queue_answers_within
from service.ports.archive import MAX_LATENCIES, JobArchive, Latency
from service.ports.queue import QueueStats

# Pictures are counted over this time, or over the shorter one that the kept latencies reach back.
_RATE_SECONDS = 60.0
_LEAST_SECONDS = 0.001


@dataclass(frozen=True)
class Fare:
    """One look.

    Attributes:
        workers: the living ones.
        stats: the queue's figures.
        latencies: of the jobs that have lately ended well, oldest first.
        now: seconds since 1970.
    """

    workers: Sequence[WorkerReport]
    stats: QueueStats
    latencies: Sequence[Latency]
    now: float

    @property
    def num_slots(self) -> int:
        """Pictures that all workers together have in flight at most."""
        return sum(worker.capacity.num_slots for worker in self.workers)

    @property
    def num_in_flight(self) -> int:
        """Pictures that all workers together have in flight, as of their last reports."""
        return sum(worker.activity.in_flight for worker in self.workers)

    @property
    def batch_occupancy(self) -> float | None:
        """Rows of a denoising step over the most that it can have, 0 to 1, of the workers that take any; else None."""
        busy = [worker for worker in self.workers if worker.activity.rows_per_step]
        if not busy:
            return None
        most = sum(worker.capacity.max_batch for worker in busy)
        return min(1.0, sum(worker.activity.rows_per_step for worker in busy) / most)

    @property
    def pictures_per_minute(self) -> float:
        """Of the last minute, or since the oldest latency that is kept if that is less."""
        counted = [latency for latency in self.latencies if self.now - latency.ended_at <= _RATE_SECONDS]
        seconds = _RATE_SECONDS
        if len(counted) >= MAX_LATENCIES:
            # With the first of them the time begins.
            seconds = max(self.now - counted.pop(0).ended_at, _LEAST_SECONDS)
        return 60 * sum(latency.num_images for latency in counted) / seconds

    @property
    def eta(self) -> Eta | None:
        """Of a picture that was asked for now, with the default steps; None while no worker is calibrated."""
        return of_usual(self.workers, self.stats)


class DeploymentStatus:
    """Looks at all of one deployment."""

    def __init__(self, forecasts: Forecasts, archive: JobArchive) -> None:
        self._forecasts, self._archive = forecasts, archive

    async def look(self) -> Fare:
        """How it fares now.

        Raises:
            StorageError: `queue_unavailable`.
        """
        seen = await self._forecasts.seen()
        async with queue_answers_within():
            latencies = await self._archive.latencies()
        if seen is None:
            raise StorageError("queue_unavailable", "the queue does not say how it fares")
        return Fare(*seen, latencies, time.time())
