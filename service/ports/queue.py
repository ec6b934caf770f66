"""The queue as its three users see it: the gateway, the worker, upkeep.

`lost`, `fenced` and `full` are answers here, not exceptions; a queue that does not answer raises StorageError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.job import ClaimedJob, Job, JobFailure, JobId, NewJob, Progress
from service.domain.result import JobResult

EnqueueVerdict = Literal["ok", "dup", "full"]
LeaseVerdict = Literal["ok", "lost"]
FinishVerdict = Literal["succeeded", "failed", "retry", "already", "fenced", "gone"]
ReleaseVerdict = Literal["queued", "already", "fenced", "gone"]


@dataclass(frozen=True)
class QueueStats:
    """Figures of the whole queue: counts of jobs, and seconds that the oldest has waited."""

    queued: int
    running: int
    oldest_wait_seconds: float


class JobIntake(Protocol):
    """The gateway's verbs."""

    async def enqueue(self, job: NewJob) -> EnqueueVerdict:
        """Accept the job in one atomic step, or say why not; a repeat of the same id is `dup`."""
        ...

    async def read(self, job_id: JobId) -> Job | None:
        """The job as it stands, None if there is none of that id."""
        ...

    async def wait_for_end(self, job_id: JobId, timeout_seconds: float) -> Job | None:
        """`read`, once the job has ended or the time is over."""
        ...

    async def stats(self) -> QueueStats:
        """Figures of the whole queue."""
        ...


class JobLeases(Protocol):
    """The worker's verbs; blocking calls."""

    def claim(self, free_rows: int, num_running: int) -> Sequence[ClaimedJob]:
        """Take jobs of at most free_rows rows in all; never waits."""
        ...

    def wait_for_work(self, timeout_seconds: float) -> None:
        """Return when a job may be waiting, or when the time is over."""
        ...

    def heartbeat(self, jobs: Mapping[JobId, tuple[int, Progress]]) -> Mapping[JobId, LeaseVerdict]:
        """Extend the leases of these jobs (fence, progress); `lost` means that the job is no longer ours."""
        ...

    def succeed(self, job_id: JobId, result: JobResult) -> FinishVerdict:
        """Commit a result whose bytes are durable, if `result.fence` is still the current one."""
        ...

    def fail(self, job_id: JobId, fence: int, failure: JobFailure, *, may_retry: bool) -> FinishVerdict:
        """End the job as failed, or send it back for another try while any is left."""
        ...

    def release(self, job_id: JobId, fence: int) -> ReleaseVerdict:
        """Give the job back unharmed; this delivery does not count."""
        ...


class JobUpkeep(Protocol):
    """What keeps the queue honest: expired leases go back, old results go."""

    async def reap(self, deleted: Sequence[JobId]) -> Sequence[JobId]:
        """One bounded round; returns the jobs whose pictures may now be deleted, again until named in `deleted`."""
        ...
