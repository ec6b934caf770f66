"""How the deployment fares: for people, not for monitoring, which has its metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.capacity import WorkerReport
from service.domain.errors import StorageError
from service.domain.job import Priority
from service.gateway.forecast import Forecasts
from service.gateway.patience import queue_answers_within
from service.ports.archive import JobArchive
from service.ports.queue import QueueStats


@dataclass(frozen=True)
class Fare:
    """One look.

    Attributes:
        workers: the living ones.
        stats: the queue's figures.
        latencies: class, and seconds from acceptance to end, of the jobs that have lately ended well, oldest first.
    """

    workers: Sequence[WorkerReport]
    stats: QueueStats
    latencies: Sequence[tuple[Priority, float]]

    @property
    def num_slots(self) -> int:
        """Pictures that all workers together have in flight at most."""
        return sum(worker.capacity.num_slots for worker in self.workers)


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
        return Fare(*seen, latencies)
