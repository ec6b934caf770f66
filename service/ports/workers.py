"""Who works on the queue, and how fast: the worker announces itself, the gateway reads."""

from collections.abc import Sequence
from typing import Protocol

from service.domain.capacity import WorkerReport


class WorkerAnnouncements(Protocol):
    """The worker's side; blocking calls that raise StorageError where the queue does not answer."""

    def announce(self, report: WorkerReport, alive_seconds: float) -> None:
        """Count as alive for so long, with these figures."""
        ...

    def withdraw(self, worker: str) -> None:
        """Be gone at once."""
        ...


class WorkerRegistry(Protocol):
    """The gateway's side."""

    async def reports(self) -> Sequence[WorkerReport]:
        """Every worker that counts as alive."""
        ...
