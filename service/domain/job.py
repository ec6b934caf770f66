"""A job's life as a table, and the views of it that the gateway and the worker hold.

It does not move jobs: the queue's functions do, and this table is what they are tested against.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.request import GenerationRequest
from service.domain.result import JobResult
from service.domain.trace_context import TraceContext
from service.domain.webhook import Webhook

JobId = str
JOB_ID = re.compile(r"job_[0-9a-f]{32}")
"""What every id of a job looks like, from start to end."""


class JobStatus(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True once the job has ended; an ended job never changes again."""
        return not TRANSITIONS[self]


# (from) -> what may follow, and why. A worker's crash is a lease that runs out: running -> queued.
TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset(
        {
            JobStatus.RUNNING,  # claimed
            JobStatus.CANCELLED,  # at once
            JobStatus.FAILED,  # past its deadline
        }
    ),
    JobStatus.RUNNING: frozenset(
        {
            JobStatus.SUCCEEDED,  # fenced finish
            JobStatus.FAILED,  # final error, deliveries used up, or past its deadline
            JobStatus.QUEUED,  # lease expired, handed back at drain, or retried
            JobStatus.CANCELLING,  # the client's wish, which the worker has yet to learn
        }
    ),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED}),  # next step, or lease expiry
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


class Priority(StrEnum):
    """BATCH fills what INTERACTIVE leaves free, and a reserved share besides."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True)
class Progress:
    """How far a running job is.

    Attributes:
        stage: name of the stage at work, such as `tdnet_step`; empty before the first.
        step: denoising steps done, 0 .. num_steps.
    """

    stage: str = ""
    step: int = 0


@dataclass(frozen=True)
class JobFailure:
    """Why a job failed: a stable code and one sentence."""

    code: str
    detail: str


UNFORESEEN = JobFailure("internal_error", "the worker met an unexpected error")
"""Of what is a fault of the worker: the log knows more, the client learns no detail."""


DEFAULT_TENANT = "default"
MAX_DEADLINE_SECONDS = 86_400.0
MIN_RETENTION_SECONDS, MAX_RETENTION_SECONDS, DEFAULT_RETENTION_SECONDS = 60, 86_400, 3600


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's name for a submission, so that a repeat finds the first one's job.

    Attributes:
        key: 1-255 visible ASCII characters.
        fingerprint: hex digest of everything that was asked for; the same key with another one is a mistake.
    """

    key: str
    fingerprint: str


@dataclass(frozen=True)
class BatchPlace:
    """Which item of a batch a job is.

    Attributes:
        batch_id: the batch.
        index: the item's place in the manifest, from 0; items become jobs in this order.
        custom_id: the client's name for it.
    """

    batch_id: str
    index: int
    custom_id: str


@dataclass(frozen=True)
class NewJob:
    """What the gateway hands to the queue; its pictures are already durable.

    Attributes:
        id: `job_` and 32 lower-case hex digits.
        request: what is asked for.
        tenant: whose it is; the queue is fair between tenants.
        priority: its class.
        deadline_seconds: from acceptance; a job that has not ended by then fails.
        retention_seconds: from its end; how long it keeps its picture.
        idempotency: the client's key, if there is one.
        forecast_seconds: how long it was expected to take, so that the forecast learns from its error; 0 if unknown.
        batch: which item of a batch it is, if it is one.
        webhook: who is to be told of it, if anybody.
        trace: the trace that it continues, if there is one.
        step_cost: of one of its steps, in those of float32.
    """

    id: JobId
    request: GenerationRequest
    tenant: str = DEFAULT_TENANT
    priority: Priority = Priority.INTERACTIVE
    deadline_seconds: float = MAX_DEADLINE_SECONDS
    retention_seconds: float = DEFAULT_RETENTION_SECONDS
    idempotency: IdempotencyKey | None = None
    forecast_seconds: float = 0.0
    batch: BatchPlace | None = None
    webhook: Webhook | None = None
    trace: TraceContext | None = None
    step_cost: float = 1.0

    @property
    def rows(self) -> int:
        """Slots that the job takes in a worker: one for each picture."""
        return self.request.num_images

    @property
    def cost(self) -> int:
        """Row-steps: what the job takes from everybody else."""
        return cost_of(self.request.params.num_steps, self.rows, self.step_cost)


def cost_of(num_steps: int, num_images: int, step_cost: float) -> int:
    """Row-steps of so many pictures, 1 at least; a step of theirs counts as this part of one in float32."""
    return math.ceil(num_steps * num_images * step_cost)


@dataclass(frozen=True)
class ClaimedJob:
    """What a worker gets: a job and the right to work on it.

    Attributes:
        id: the job.
        fence: ever-growing number of this delivery; only the current one may finish the job.
        request: what is asked for.
        is_suspect: an earlier delivery was lost, so it must run alone.
        queue_seconds: time from acceptance to this claim, by the queue's clock.
        priority: its class.
        seconds_left: until its deadline, by the queue's clock at the claim.
        attempt: deliveries so far, with this one.
        trace: the trace that it continues, if there is one.
    """

    id: JobId
    fence: int
    request: GenerationRequest
    is_suspect: bool
    queue_seconds: float
    priority: Priority = Priority.INTERACTIVE
    seconds_left: float = MAX_DEADLINE_SECONDS
    attempt: int = 1
    trace: TraceContext | None = None


@dataclass(frozen=True)
class Job:
    """A job as a client sees it.

    Attributes:
        id: the job.
        status: where it stands.
        request: what was asked for.
        attempt: deliveries so far.
        created_at: POSIX seconds; likewise started_at, ended_at, expires_at, None before that moment.
        progress: of the present delivery.
        position: jobs ahead of it while queued, else 0.
        result: once succeeded.
        failure: once failed.
        is_expired: its picture has been deleted.
        priority: its class.
        deadline_at: POSIX seconds; what has not ended by then fails.
        retry_at: POSIX seconds; when a failed attempt is repeated, None unless it waits for that.
        work_ahead: row-steps that are served before it while it is queued, else 0.
        tenant: whose it is.
        batch_id: the batch that it is an item of, if it is one; likewise custom_id, the client's name for the item.
    """

    id: JobId
    status: JobStatus
    request: GenerationRequest
    attempt: int
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    progress: Progress = field(default_factory=Progress)
    position: int = 0
    result: JobResult | None = None
    failure: JobFailure | None = None
    is_expired: bool = False
    priority: Priority = Priority.INTERACTIVE
    deadline_at: float | None = None
    retry_at: float | None = None
    work_ahead: int = 0
    tenant: str = DEFAULT_TENANT
    batch_id: str | None = None
    custom_id: str | None = None
