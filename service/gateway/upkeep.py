"""What a gateway does without being asked: expired leases go back, old pictures go.

Every gateway runs it; the queue's reap is atomic, so several do no harm.
"""

import asyncio

from service.domain.errors import StorageError
from service.domain.job import JobId
from service.ports.blobs import BlobStore
from service.ports.queue import JobUpkeep
from service.telemetry.logs import get_logger
from service.telemetry.metrics import GatewayMetrics

# A lease that has run out is seen within a fifteenth of its length.
_REAPS_PER_LEASE = 15
_SWEEP_EVERY_SECONDS = 3600.0
# Longer than any job may wait, run and keep its picture together: what is older, a crash has left behind.
_SWEEP_OLDER_THAN_SECONDS = 8 * 86400.0


class Upkeep:
    """The gateway's periodic duties; `run` goes on until it is cancelled."""

    def __init__(self, queue: JobUpkeep, blobs: BlobStore, lease_seconds: float, metrics: GatewayMetrics) -> None:
        self._queue = queue
        self._blobs = blobs
        self._metrics = metrics
        self._interval_seconds = lease_seconds / _REAPS_PER_LEASE
        self._deleted: list[JobId] = []

    async def run(self) -> None:
        """Reap fifteen times a lease, sweep at the start and then each hour; an outage is logged and waited out."""
        next_sweep = asyncio.get_running_loop().time()
        is_well = True
        while True:
            try:
                await self.reap()
                if asyncio.get_running_loop().time() >= next_sweep:
                    next_sweep += _SWEEP_EVERY_SECONDS
                    await self.sweep()
                is_well = True
            except StorageError as error:
                self._metrics.count_outage(error)
                if is_well:
                    get_logger().warning("upkeep_failed", code=error.code, detail=error.detail)
                is_well = False
            await asyncio.sleep(self._interval_seconds)

    async def reap(self) -> None:
        """One round: the pictures of the jobs whose time is over are deleted.

        Raises:
            StorageError: the queue or the storage does not answer.
        """
        deletable = await self._queue.reap(self._deleted)
        self._deleted = []
        for job_id in deletable:
            await asyncio.to_thread(self._blobs.delete_job, job_id)
            # Only now: what a crash or an outage leaves, the queue names again.
            self._deleted.append(job_id)

    async def sweep(self) -> None:
        """Delete what crashes have left behind.

        Raises:
            StorageError: the storage does not answer.
        """
        num_files = await asyncio.to_thread(self._blobs.sweep, _SWEEP_OLDER_THAN_SECONDS)
        if num_files:
            get_logger().info("blobs_swept", num_files=num_files)
