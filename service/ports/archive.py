"""The queue as its chronicle: what a job has gone through, which jobs a tenant has, and how one is forgotten.

Another tenant's job is as absent as one that is not there, and so is one that is being erased.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.job import Job, JobId, JobStatus, Priority

EraseVerdict = Literal["erased", "erasing", "notfound"]

MAX_LATENCIES = 200
"""So many are kept."""


@dataclass(frozen=True)
class JobChange:
    """One change of a job's state.

    Attributes:
        number: the job's own, from 1 on.
        job: as a client saw it then; of the newest change, place in line and work ahead are those of now.
    """

    number: int
    job: Job


@dataclass(frozen=True)
class JobHistory:
    """A job, and some of what led there.

    Attributes:
        job: as it stands.
        newest: number of its newest change.
        changes: those that were asked for and are kept, in their order.
    """

    job: Job
    newest: int
    changes: Sequence[JobChange]


@dataclass(frozen=True)
class Latency:
    """Of a job that has ended well.

    Attributes:
        priority: its class.
        seconds: from acceptance to end.
        ended_at: its end, seconds since 1970 by the queue's clock.
        num_images: pictures that it made.
    """

    priority: Priority
    seconds: float
    ended_at: float
    num_images: int


@dataclass(frozen=True)
class JobChoice:
    """Which of a tenant's jobs a list holds: those of one status, of one batch, of both; None for all."""

    status: JobStatus | None = None
    batch_id: str | None = None


@dataclass(frozen=True)
class JobPage:
    """Some of a tenant's jobs.

    Attributes:
        jobs: the newest first.
        next_before: where the next page begins; None if there are no more.
    """

    jobs: Sequence[Job]
    next_before: int | None


class JobArchive(Protocol):
    """Every method raises StorageError where the queue does not answer."""

    async def history(self, job_id: JobId, tenant: str, after: int | None) -> JobHistory | None:
        """The changes after that number, or the last two; None if there is no such job. The newest 64 are kept."""
        ...

    def changes_of(self, job_id: JobId) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set at each change of the job from then on: a hint, to be cleared before a look."""
        ...

    async def page(self, tenant: str, chosen: JobChoice, before: int | None, limit: int) -> JobPage:
        """At most `limit` of the chosen jobs; fewer do not mean that there are no more."""
        ...

    async def latencies(self) -> Sequence[Latency]:
        """Of the jobs of all tenants that have lately ended well, oldest first."""
        ...

    async def erase(self, job_id: JobId, tenant: str) -> EraseVerdict:
        """Forget an ended job; cancel a live one and forget it as soon as it has ended.

        Upkeep is told to delete the pictures. A repeat after `erased` is `notfound`.
        """
        ...
