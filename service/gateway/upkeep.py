"""What a gateway does without being asked: expired leases go back, old pictures go, the queue's books are checked.

Every gateway runs it; the queue's reap is atomic and its audit read-only, so several do no harm.
"""

import asyncio

from service.domain.errors import StorageError
from service.domain.job import JobId
from service.ports.audit import QueueAudit
from service.ports.blobs import BlobStore
from service.ports.queue import JobUpkeep
from service.telemetry.logs import get_logger
from service.telemetry.metrics import GatewayMetrics

# A lease that has run out is seen within a fifteenth of its length.
_REAPS_PER_LEASE = 15
_SWEEP_EVERY_SECONDS = 3600.0
_AUDIT_EVERY_SECONDS = 60.0
# A log line names so many ids of a finding.
_MAX_LOGGED = 10
# Longer than any job may wait, run and keep its picture together: what is older, a crash has left behind.
_SWEEP_OLDER_THAN_SECONDS = 8 * 86400.0


class Upkeep:
    """The gateway's periodic duties; `run` goes on until it is cancelled."""

    def __init__(
        self,
        queue: JobUpkeep,
        auditor: QueueAudit,
        blobs: BlobStore,
        lease_seconds: float,
        metrics: GatewayMetrics,
        audit_every_seconds: float = _AUDIT_EVERY_SECONDS,
    ) -> None:
        self._queue = queue
        self._auditor = auditor
        self._blobs = blobs
        self._metrics = metrics
        self._audit_every_seconds = audit_every_seconds
        self._interval_seconds = lease_seconds / _REAPS_PER_LEASE
        self._deleted: list[JobId] = []

    async def run(self) -> None:
        """Reap fifteen times a lease, audit each minute, sweep at the start and then each hour.

        An outage is logged and waited out; the audit comes a minute after it, when what it left is reaped.
        """
        now = asyncio.get_running_loop().time
        next_sweep, next_audit = now(), now() + self._audit_every_seconds
        is_well = True
        while True:
            try:
                await self.reap()
                if now() >= next_audit:
                    next_audit = now() + self._audit_every_seconds
                    await self.audit()
                if now() >= next_sweep:
                    next_sweep += _SWEEP_EVERY_SECONDS
                    await self.sweep()
                is_well = True
            except StorageError as error:
                next_audit = now() + self._audit_every_seconds
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

    async def audit(self) -> None:
        """Count and log what is wrong in the queue; nothing ever should be.

        Raises:
            StorageError: the queue does not answer.
        """
        for kind, ids in (await self._auditor.audit()).items():
            self._metrics.invariant_violations.labels(kind).inc(len(ids))
            get_logger().error("queue_invariant_violated", kind=kind, num_found=len(ids), ids=ids[:_MAX_LOGGED])

    async def sweep(self) -> None:
        """Delete what crashes have left behind.

        Raises:
            StorageError: the storage does not answer.
        """
        num_files = await asyncio.to_thread(self._blobs.sweep, _SWEEP_OLDER_THAN_SECONDS)
        if num_files:
            get_logger().info("blobs_swept", num_files=num_files)
