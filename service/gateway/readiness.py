"""Whether this gateway can take a job now, and the figures of the queue behind it.

It repairs nothing, and says nothing of the workers: their own port does, and `service.gateway.workforce`.
"""

import asyncio

from service.domain.errors import OverloadedError
from service.gateway.patience import queue_answers_within
from service.ports.blobs import BlobStore
from service.ports.queue import JobIntake, QueueFigures, QueueFunctions


class Readiness:
    """Looks at the two things that a gateway needs, and knows whether it has been told to stop."""

    def __init__(self, intake: JobIntake, blobs: BlobStore, functions: QueueFunctions) -> None:
        self._intake, self._functions = intake, functions
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

    async def check(self) -> None:
        """Return if a job would be accepted.

        Raises:
            OverloadedError: `draining`.
            StorageError: `queue_unavailable`, after 2 s at most: no answer, or its functions are not ours; or
                `storage_unavailable`.
        """
        self.check_open()
        async with queue_answers_within():
            await asyncio.to_thread(self._functions.ensure)
            await self._intake.stats()
        await asyncio.to_thread(self._blobs.check_writable)

    async def figures(self) -> QueueFigures:
        """What monitoring wants to know of the queue, whether or not a job would be accepted.

        Raises:
            StorageError: `queue_unavailable`, after 2 s at most.
        """
        async with queue_answers_within():
            return await self._intake.figures()
