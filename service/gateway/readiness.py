"""Whether this gateway can take a job now, and the figures of the queue behind it.

It repairs nothing, and says nothing of the workers: their own port does, and `service.gateway.workforce`.
"""

import asyncio

from service.domain.errors import OverloadedError, StorageError
from service.gateway.patience import MAX_QUEUE_SECONDS
from service.ports.blobs import BlobStore
from service.ports.queue import JobIntake, QueueStats


class Readiness:
    """Looks at the two things that a gateway needs, and knows whether it has been told to stop."""

    def __init__(self, intake: JobIntake, blobs: BlobStore) -> None:
        self._intake = intake
        self._blobs = blobs
        self._is_draining = False

    def drain(self) -> None:
        """Take no new job from now on: what was begun comes to its end."""
        self._is_draining = True

    def check_open(self) -> None:
        """For a call that brings a new job, before its body is read.

        Raises:
            OverloadedError: `draining`.
        """
        if self._is_draining:
            raise OverloadedError("draining", "this gateway is about to stop; send the call again")

    async def check(self) -> QueueStats:
        """Figures of the queue, if a job would be accepted.

        Raises:
            OverloadedError: `draining`.
            StorageError: `queue_unavailable`, after 2 s at most, or `storage_unavailable`.
        """
        self.check_open()
        try:
            async with asyncio.timeout(MAX_QUEUE_SECONDS):
                stats = await self._intake.stats()
        except TimeoutError:
            raise StorageError("queue_unavailable", "the queue does not answer") from None
        await asyncio.to_thread(self._blobs.check_writable)
        return stats
