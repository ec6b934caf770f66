"""Books of batches and their manifests in a dict: batches are taken, and all of their items are cancelled."""

import time
from collections.abc import Iterable, Sequence

from service.domain.batch import Batch, BatchEnd, BatchId, BatchStatus, NewBatch
from service.domain.errors import NotFoundError
from service.ports.batches import FeedingTurn, Opened, SkippedItem
from service.ports.manifests import ManifestPlace


class MemoryBooks:
    """BatchBooks."""

    def __init__(self) -> None:
        self._batches: dict[BatchId, NewBatch] = {}

    async def open(self, batch: NewBatch) -> Opened:
        self._batches[batch.id] = batch
        return Opened("ok", batch.id)

    async def read(self, batch_id: BatchId, tenant: str) -> Batch | None:
        new = self._batches.get(batch_id)
        if new is None or new.tenant != tenant:
            return None
        now = time.time()
        counts = (new.num_items, 0, 0, 0, new.num_items)
        times = (now, now + new.deadline_seconds, now, now, now + new.retention_seconds)
        return Batch(batch_id, tenant, BatchStatus.CANCELLED, *counts, 0, *times, new.metadata)

    async def cancel(self, batch_id: BatchId, tenant: str) -> BatchStatus | None:
        return BatchStatus.CANCELLED if await self.read(batch_id, tenant) else None

    async def ends(
        self, batch_id: BatchId, tenant: str, after: int, limit: int
    ) -> tuple[BatchStatus, Sequence[BatchEnd]] | None:
        return (BatchStatus.CANCELLED, ()) if await self.read(batch_id, tenant) else None

    async def turns(self, feeder: str, lease_seconds: float) -> Sequence[FeedingTurn]:
        return ()

    async def set_aside(self, batch_id: BatchId) -> None:
        raise AssertionError("nothing is fed here")

    async def skip(self, batch_id: BatchId, index: int, items: Sequence[SkippedItem]) -> None:
        raise AssertionError("nothing is fed here")


class MemoryManifests:
    """ManifestStore."""

    def __init__(self) -> None:
        self._lines: dict[BatchId, list[bytes]] = {}

    def put(self, batch_id: BatchId, lines: Iterable[bytes]) -> None:
        self._lines[batch_id] = list(lines)

    def read(self, batch_id: BatchId, start: ManifestPlace, limit: int) -> tuple[Sequence[bytes], int]:
        if batch_id not in self._lines:
            raise NotFoundError("what this batch asks for is gone")
        first = start.offset + start.num_skipped
        lines = self._lines[batch_id][first : first + limit]
        return lines, first + len(lines)

    def delete(self, batch_id: BatchId) -> None:
        self._lines.pop(batch_id, None)

    def sweep(self, older_than_seconds: float) -> int:
        return 0
