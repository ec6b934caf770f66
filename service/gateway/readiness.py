"""Whether this gateway can take a job now, and the figures of the queue behind it.

It repairs nothing, and says nothing of the workers: their own port does.
"""

import asyncio

from service.domain.errors import StorageError
from service.gateway.patience import MAX_QUEUE_SECONDS
from service.ports.blobs import BlobStore
from service.ports.queue import JobIntake, QueueStats


class Readiness:
    """Looks at the two things that a gateway needs."""

    def __init__(self, intake: JobIntake, blobs: BlobStore) -> None:
        self._intake = intake
        self._blobs = blobs

    async def check(self) -> QueueStats:
        """Figures of the queue, if a job would be accepted.

        Raises:
            StorageError: `queue_unavailable`, after 2 s at most, or `storage_unavailable`.
        """
        try:
            async with asyncio.timeout(MAX_QUEUE_SECONDS):
                stats = await self._intake.stats()
        except TimeoutError:
            raise StorageError("queue_unavailable", "the queue does not answer") from None
        await asyncio.to_thread(self._blobs.check_writable)
        return stats
