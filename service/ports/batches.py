"""The queue's books of batches. Another tenant's batch is as absent as one that is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.batch import Batch, BatchEnd, BatchId, BatchStatus, ItemFailure, NewBatch
from service.domain.job import JobStatus
from service.domain.trace_context import TraceContext
from service.domain.webhook import Webhook

OpenVerdict = Literal["ok", "dup", "mismatch", "full", "quota", "kept"]


@dataclass(frozen=True)
class Opened:
    """What became of an opening.

    Attributes:
        verdict: `ok`, or why there is no new batch, as of an enqueue; `kept`: the results of too many items are.
        batch_id: the batch, or job, that now stands for the call.
    """

    verdict: OpenVerdict
    batch_id: str


@dataclass(frozen=True)
class FeedingTurn:
    """What there is to do for a batch that has items left.

    Attributes:
        batch_id: the batch.
        tenant: whose it is.
        cursor: the place of its next item in the manifest.
        num_left: items from there on.
        room: how many more of its items the queue takes now.
        ending: None; or why the items left are to end without ever being jobs.
        seconds_left: until the batch's deadline.
        webhook: who is to be told of the jobs, if anybody.
        trace: the trace that they continue, if there is one.
    """

    batch_id: BatchId
    tenant: str
    cursor: int
    num_left: int
    room: int
    ending: Literal["cancelled", "overdue"] | None
    seconds_left: float
    webhook: Webhook | None = None
    trace: TraceContext | None = None


@dataclass(frozen=True)
class SkippedItem:
    """An item that ends without being a job.

    Attributes:
        custom_id: the client's name for it.
        status: failed or cancelled.
        cost: its row-steps.
        failure: why, if it failed.
    """

    custom_id: str
    status: JobStatus
    cost: int
    failure: ItemFailure | None = None


class BatchBooks(Protocol):
    """Every method raises StorageError where the queue does not answer."""

    async def open(self, batch: NewBatch) -> Opened:
        """Accept the batch in one atomic step, or say why not."""
        ...

    async def read(self, batch_id: BatchId, tenant: str) -> Batch | None:
        """The batch as it stands, None if there is none."""
        ...

    async def cancel(self, batch_id: BatchId, tenant: str) -> BatchStatus | None:
        """Let no more items begin, and cancel the others soon; its status then, None if there is no such batch."""
        ...

    async def ends(
        self, batch_id: BatchId, tenant: str, after: int, limit: int
    ) -> tuple[BatchStatus, Sequence[BatchEnd]] | None:
        """The items that have ended after so many others; None if there is no such batch."""
        ...

    async def turns(self, feeder: str, lease_seconds: float) -> Sequence[FeedingTurn]:
        """What is to be fed by this feeder, which alone feeds for so long; nothing while another one does."""
        ...

    async def set_aside(self, batch_id: BatchId) -> None:
        """No feeder of this version gets the batch again, unless to end it: only a newer one can make its jobs."""
        ...

    async def skip(self, batch_id: BatchId, index: int, items: Sequence[SkippedItem]) -> None:
        """These items, of which the first is at that place, end without being jobs; a repeat does nothing."""
        ...
