"""A job's life as a table, and the views of it that the gateway and the worker hold.

It does not move jobs: the queue's functions do, and this table is what they are tested against.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.request import GenerationRequest
from service.domain.result import JobResult

JobId = str
JOB_ID = re.compile(r"job_[0-9a-f]{32}")
"""What every id of a job looks like, from start to end."""


class JobStatus(StrEnum):
    """Where a job stands; the last two are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True once the job has ended; an ended job never changes again."""
        return not TRANSITIONS[self]


# (from) -> what may follow, and why. A worker's crash is a lease that runs out: running -> queued.
TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING}),  # claimed
    JobStatus.RUNNING: frozenset(
        {
            JobStatus.SUCCEEDED,  # fenced finish
            JobStatus.FAILED,  # final error, or deliveries used up
            JobStatus.QUEUED,  # lease expired, handed back at drain, or retried
        }
    ),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
}


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


@dataclass(frozen=True)
class NewJob:
    """What the gateway hands to the queue; its pictures are already durable.

    Attributes:
        id: `job_` and 32 lower-case hex digits.
        request: what is asked for.
        rows: slots that the job takes in a batch.
    """

    id: JobId
    request: GenerationRequest
    rows: int = 1


@dataclass(frozen=True)
class ClaimedJob:
    """What a worker gets: a job and the right to work on it.

    Attributes:
        id: the job.
        fence: ever-growing number of this delivery; only the current one may finish the job.
        request: what is asked for.
        is_suspect: an earlier delivery's lease ran out, so it must run alone.
        queue_seconds: time from acceptance to this claim, by the queue's clock.
    """

    id: JobId
    fence: int
    request: GenerationRequest
    is_suspect: bool
    queue_seconds: float


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
