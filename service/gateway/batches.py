"""What a client can do with a batch: submit it, look at it, cancel it, follow its items as they end.

Its items become jobs elsewhere (`service.gateway.batch_feeder`).
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from service.domain.batch import Batch, BatchEnd, BatchId, BatchStatus, NewBatch, job_id_of_item
from service.domain.errors import NotFoundError, OverloadedError, RequestError, ServiceError, StorageError
from service.domain.inputs import pack_inputs
from service.domain.job import IdempotencyKey
from service.domain.webhook import Webhook
from service.gateway.batch_draft import BatchDraft
from service.gateway.batch_feeder import BatchFeeder
from service.gateway.forecast import Forecasts
from service.gateway.patience import queue_answers_within
from service.gateway.receivers import Receivers, check_webhook
from service.gateway.submission import Submission
from service.ports.batches import BatchBooks
from service.ports.blobs import BlobStore
from service.ports.manifests import ManifestStore
from service.telemetry.metrics import GatewayMetrics
from service.telemetry.spans import part


@dataclass(frozen=True)
class BatchOptions:
    """What holds for all items.

    Attributes:
        deadline_seconds: from acceptance, 0.1 .. 86,400; what has not ended by then fails.
        retention_seconds: from the end of each item, 60 .. 86,400.
        metadata: the client's own notes, as a job's.
        webhook: who is to be told of the batch, and of its items, if anybody; its address is still to be checked.
    """

    deadline_seconds: float
    retention_seconds: float
    metadata: Mapping[str, str]
    webhook: Webhook | None = None


# Of one look at what has ended.
_ENDS_AT_ONCE = 100
_LOOK_EVERY_SECONDS = 0.25
# Who follows hears something so often, also while nothing ends.
_SILENCE_SECONDS = 15.0


class FollowBrokenError(Exception):
    """Not all was told that there is."""


class Batches:
    """The batches of one deployment."""

    def __init__(
        self,
        books: BatchBooks,
        manifests: ManifestStore,
        blobs: BlobStore,
        feeder: BatchFeeder,
        forecasts: Forecasts,
        metrics: GatewayMetrics,
        receivers: Receivers | None = None,
    ) -> None:
        """Of a deployment without `receivers` nobody is told anything, and webhooks are refused."""
        self._books, self._manifests, self._blobs, self._feeder = books, manifests, blobs, feeder
        self._forecasts, self._metrics = forecasts, metrics
        self._receivers = receivers
        self._closing = asyncio.Event()

    async def store(self, draft: BatchDraft, number: int, submission: Submission) -> None:
        """Keep the pictures of an item that brings its own; StorageError: `storage_unavailable`."""
        content = pack_inputs(submission.photo, submission.skeleton)
        await asyncio.to_thread(self._blobs.put_input, job_id_of_item(draft.id, number), content)
        draft.stored.append(number)

    async def discard(self, draft: BatchDraft) -> None:
        """Forget a draft that is not to become a batch; what this leaves undone, the sweep does."""
        with suppress(StorageError):
            await asyncio.to_thread(self._manifests.delete, draft.id)
            for number in draft.stored:
                await asyncio.to_thread(self._blobs.delete_job, job_id_of_item(draft.id, number))

    async def submit(
        self, draft: BatchDraft, options: BatchOptions, tenant: str, idempotency_key: str | None
    ) -> tuple[BatchId, bool]:
        """Accept a batch; when this returns, it survives a crash of any process.

        Args:
            draft: the items; pictures that came with them are stored.
            options: for all of them.
            tenant: whose it will be.
            idempotency_key: as of a job.

        Returns:
            The batch that stands for the call, and whether an earlier call with the same key has made it.

        Raises:
            RequestError: `idempotency_mismatch`, `webhook_url`, `validation` of what a webhook could not tell.
            OverloadedError: `overloaded`, `tenant_queue_full`, `quota_exhausted`; nothing was kept.
            StorageError: `queue_unavailable` or `storage_unavailable`.
        """
        if options.webhook:
            try:
                await check_webhook(self._receivers, options.webhook, options.metadata)
            except ServiceError:
                await self.discard(draft)
                raise
        with part("store"):
            await asyncio.to_thread(self._manifests.put, draft.id, draft.lines())
        fingerprint = f"{draft.fingerprint} {json.dumps(asdict(options), sort_keys=True)}"
        batch = NewBatch(
            draft.id,
            tenant,
            draft.num_items,
            draft.cost,
            options.deadline_seconds,
            options.retention_seconds,
            options.metadata,
            IdempotencyKey(idempotency_key, fingerprint) if idempotency_key else None,
            options.webhook,
        )
        # No clean-up if this raises: the queue may have accepted the batch and only its answer was lost.
        with part("enqueue", "producer") as span:
            batch = replace(batch, trace=span.context if span else None)
            async with queue_answers_within():
                opened = await self._books.open(batch)
        if opened.batch_id == batch.id and opened.verdict in ("ok", "dup"):
            self._feeder.wake()
            return batch.id, False
        await self.discard(draft)
        if opened.verdict == "dup":
            self._metrics.idempotent_replays.inc()
            return opened.batch_id, True
        if opened.verdict == "mismatch":
            raise RequestError("idempotency_mismatch", "this Idempotency-Key belongs to another request")
        self._metrics.admission_rejected.labels(opened.verdict).inc()
        seconds = await self._forecasts.retry_after_seconds()
        if opened.verdict == "kept":
            detail = "the results of your batches are kept for 7 days, and those of this one would be too many"
            raise OverloadedError("quota_exhausted", detail, seconds)
        if opened.verdict == "quota":
            raise OverloadedError("tenant_queue_full", "too many of your batches are open; nothing was kept", seconds)
        raise OverloadedError("overloaded", "too many batches are open; nothing was kept, try again later", seconds)

    async def status(self, batch_id: BatchId, tenant: str) -> Batch:
        """The batch as it stands.

        Raises:
            NotFoundError: there is none of that id.
            StorageError: `queue_unavailable`.
        """
        async with queue_answers_within():
            batch = await self._books.read(batch_id, tenant)
        if batch is None:
            raise NotFoundError("there is no such batch")
        return batch

    async def cancel(self, batch_id: BatchId, tenant: str) -> Batch:
        """Let no more items begin, and cancel those that have; an ended batch stays as it is. Raises as `status`."""
        async with queue_answers_within():
            await self._books.cancel(batch_id, tenant)
        self._feeder.wake()
        return await self.status(batch_id, tenant)

    async def follow(
        self, batch_id: BatchId, tenant: str, after: int, *, is_live: bool
    ) -> AsyncGenerator[Sequence[BatchEnd]]:
        """The items that have ended, from the one after that number on, some at a time, in the order of ending.

        Args:
            batch_id: the batch.
            tenant: whose it is.
            after: number of the item that was told last, 0 for none.
            is_live: go on until the batch has ended, with nothing now and then; else only what there is.

        Raises:
            NotFoundError: there is none of that id.
            StorageError: `queue_unavailable`, before the first answer; while it is live an outage is waited out then.
            FollowBrokenError: there is more to tell, and elsewhere or later it can be had.
        """
        status, ends = await self._ends(batch_id, tenant, after)
        # Before anything is sent: what went wrong until here has a status of its own.
        yield ends
        spoken_at = time.monotonic()
        while len(ends) == _ENDS_AT_ONCE or (is_live and not (status.is_final and not ends)):
            after += len(ends)
            if not ends and await self._is_closed_within(_LOOK_EVERY_SECONDS):
                raise FollowBrokenError
            try:
                status, ends = await self._ends(batch_id, tenant, after)
            except StorageError:
                if not is_live:
                    raise FollowBrokenError from None
                # Whatever it was before: there may be more that could not be read.
                status, ends = BatchStatus.RUNNING, ()
            except NotFoundError:
                raise FollowBrokenError from None
            if ends or time.monotonic() - spoken_at >= _SILENCE_SECONDS:
                spoken_at = time.monotonic()
                yield ends

    def close(self) -> None:
        """End everything that is followed: its follower goes on elsewhere. In the event loop that serves it."""
        self._closing.set()

    async def _ends(self, batch_id: BatchId, tenant: str, after: int) -> tuple[BatchStatus, Sequence[BatchEnd]]:
        async with queue_answers_within():
            found = await self._books.ends(batch_id, tenant, after, _ENDS_AT_ONCE)
        if found is None:
            raise NotFoundError("there is no such batch")
        return found

    async def _is_closed_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()
