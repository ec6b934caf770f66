"""A batch: many pictures asked for at once, as a client sees it and as the queue is told.

Its items become jobs, a few at a time; what they ask for lies in the batch's manifest.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.domain.job import IdempotencyKey, Job, JobId, JobStatus
from service.domain.trace_context import TraceContext
from service.domain.webhook import Webhook

BatchId = str
BATCH_ID = re.compile(r"bat_[0-9a-f]{32}")
CUSTOM_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class BatchStatus(StrEnum):
    """Where a batch stands; the last two are final."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """All of its items have ended."""
        return self in (BatchStatus.COMPLETED, BatchStatus.CANCELLED)


@dataclass(frozen=True)
class NewBatch:
    """What the gateway hands to the queue; its manifest is already durable.

    Attributes:
        id: `bat_` and 32 lower-case hex digits.
        tenant: whose it is.
        num_items: 1 .. 10,000.
        cost: row-steps of all items.
        deadline_seconds: from acceptance; what has not ended by then fails.
        retention_seconds: from the end of each item; how long its picture is kept.
        metadata: the client's own notes.
        idempotency: the client's key, if there is one.
        webhook: who is to be told of it and of its items, if anybody.
        trace: the trace that it and its items continue, if there is one.
    """

    id: BatchId
    tenant: str
    num_items: int
    cost: int
    deadline_seconds: float
    retention_seconds: float
    metadata: Mapping[str, str]
    idempotency: IdempotencyKey | None = None
    webhook: Webhook | None = None
    trace: TraceContext | None = None


@dataclass(frozen=True)
class Batch:
    """A batch as it stands.

    Attributes:
        id: the batch.
        tenant: whose it is.
        status: where it stands.
        num_items: all of them; likewise how many are running or have succeeded, failed or been cancelled.
        cost_left: row-steps of the items that have not ended.
        created_at: POSIX seconds; likewise the other times, None before that moment.
        expires_at: when the picture of the item that ended last is deleted.
        metadata: the client's own notes.
    """

    id: BatchId
    tenant: str
    status: BatchStatus
    num_items: int
    num_running: int
    num_succeeded: int
    num_failed: int
    num_cancelled: int
    cost_left: int
    created_at: float
    deadline_at: float
    started_at: float | None
    ended_at: float | None
    expires_at: float | None
    metadata: Mapping[str, str]

    @property
    def num_ended(self) -> int:
        """Items that have ended, one way or another."""
        return self.num_succeeded + self.num_failed + self.num_cancelled


@dataclass(frozen=True)
class ItemFailure:
    """Why an item ended without ever having been a job.

    Attributes:
        code: of the problem.
        detail: one sentence.
        issues: pointer and detail of each field at fault.
    """

    code: str
    detail: str
    issues: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class BatchEnd:
    """One item that has ended.

    Attributes:
        number: from 1, in the order of ending.
        custom_id: the client's name for it.
        status: succeeded, failed or cancelled.
        job_id: None if it never was a job.
        job: as it stands; None if it was none, or has been erased.
        failure: of one that never was a job.
    """

    number: int
    custom_id: str
    status: JobStatus
    job_id: JobId | None = None
    job: Job | None = None
    failure: ItemFailure | None = None


def job_id_of_item(batch_id: BatchId, number: int) -> JobId:
    """The job that an item becomes, however often that is tried; as hard to guess as the batch's id."""
    return f"job_{hashlib.sha256(f'{batch_id} {number}'.encode()).hexdigest()[:32]}"
