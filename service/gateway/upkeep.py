"""What a gateway does without being asked: expired leases go back, old pictures go, the queue's books are checked.

Every gateway runs it; the queue's reap is atomic and its audit read-only, so several do no harm.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from service.domain.batch import BATCH_ID
from service.domain.errors import StorageError
from service.domain.library import PICTURE_ID
from service.ports.audit import QueueAudit
from service.ports.blobs import BlobStore
from service.ports.manifests import ManifestStore
from service.ports.queue import JobUpkeep, QueueFunctions
from service.telemetry.logs import get_logger
from service.telemetry.metrics import GatewayMetrics

# A lease that has run out is seen within a fifteenth of its length.
_REAPS_PER_LEASE = 15
_SWEEP_EVERY_SECONDS = 3600.0
_AUDIT_EVERY_SECONDS = 60.0
# A log line names so many ids of a finding.
_MAX_LOGGED = 10
# Longer than any job may wait, run and keep its picture together, and than the library keeps what nobody uses: what is
# older, a crash has left behind.
_SWEEP_OLDER_THAN_SECONDS = 8 * 86400.0


class Upkeep:
    """The gateway's periodic duties; `run` goes on until it is cancelled."""

    def __init__(
        self,
        queue: JobUpkeep,
        functions: QueueFunctions,
        auditor: QueueAudit,
        blobs: BlobStore,
        manifests: ManifestStore,
        lease_seconds: float,
        metrics: GatewayMetrics,
        audit_every_seconds: float = _AUDIT_EVERY_SECONDS,
    ) -> None:
        self._queue, self._functions = queue, functions
        self._auditor = auditor
        self._blobs, self._manifests = blobs, manifests
        self._metrics = metrics
        self._audit_every_seconds = audit_every_seconds
        self._interval_seconds = lease_seconds / _REAPS_PER_LEASE
        self._next_audit = time.monotonic() + audit_every_seconds
        # Both bounded by what one reap names.
        self._deletable: list[str] = []
        self._deleted: set[str] = set()

    async def run(self) -> None:
        """Restore, reap and delete fifteen times a lease, audit each minute, sweep at the start and then each hour.

        Each duty keeps its own pace: a reap that comes late looks like an outage, after which every lease starts again.
        Outages are waited out, and whatever else goes wrong too.
        """
        # Not a TaskGroup: it passes a cancel on only once, and the Redis client may swallow one.
        await asyncio.gather(
            self._repeat(self.restore, self._interval_seconds),
            self._repeat(self.reap, self._interval_seconds),
            self._repeat(self.delete, self._interval_seconds),
            self._repeat(self._audit_when_due, self._interval_seconds),
            self._repeat(self.sweep, _SWEEP_EVERY_SECONDS),
            return_exceptions=True,
        )

    async def restore(self) -> None:
        """Put the queue's functions back if somebody has flushed them, or an older version has put its own there.

        Raises:
            StorageError: the queue does not answer, or this process may not do that.
        """
        await asyncio.to_thread(self._functions.ensure)

    async def reap(self) -> None:
        """One round: what has run out in time goes back or ends, and `delete` gets its next work.

        Raises:
            StorageError: the queue does not answer; the next audit waits until what this left is reaped.
        """
        deleted = tuple(self._deleted)
        try:
            named = await self._queue.reap(deleted)
        except StorageError:
            self._put_off_audit()
            raise
        self._deleted.difference_update(deleted)
        if not self._deletable:
            self._deletable = [each for each in named if each not in self._deleted]

    async def delete(self) -> None:
        """Delete the files of the jobs, batches and pictures of the library that the queue named: their time is over.

        Raises:
            StorageError: the storage does not answer.
        """
        while self._deletable:
            named = self._deletable.pop()
            if PICTURE_ID.fullmatch(named):
                await asyncio.to_thread(self._blobs.delete_picture, named)
            elif BATCH_ID.fullmatch(named):
                await asyncio.to_thread(self._manifests.delete, named)
            else:
                await asyncio.to_thread(self._blobs.delete_job, named)
            # Only now: what a crash or an outage leaves, the queue names again.
            self._deleted.add(named)

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
        num_files, trouble = 0, None
        for store in (self._blobs, self._manifests):
            try:
                num_files += await asyncio.to_thread(store.sweep, _SWEEP_OLDER_THAN_SECONDS)
            except StorageError as error:
                trouble = trouble or error
        if trouble:
            raise trouble
        if num_files:
            get_logger().info("blobs_swept", num_files=num_files)

    async def _audit_when_due(self) -> None:
        if time.monotonic() >= self._next_audit:
            self._put_off_audit()
            await self.audit()

    def _put_off_audit(self) -> None:
        self._next_audit = time.monotonic() + self._audit_every_seconds

    async def _repeat(self, duty: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
        is_well = True
        while True:
            try:
                await duty()
                is_well = True
            except StorageError as error:
                self._metrics.count_outage(error)
                if is_well:
                    get_logger().warning("upkeep_failed", code=error.code, detail=error.detail)
                is_well = False
            except Exception:
                # Without this duty the gateway would look well, and leases or pictures would pile up.
                get_logger().exception("upkeep_failed", code="internal_error")
            await asyncio.sleep(pause_seconds)
