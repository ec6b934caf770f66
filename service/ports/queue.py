"""The queue as its three users see it: the gateway, the worker, upkeep; and what all of them need of its server.

`lost`, `fenced` and `full` are answers here, not exceptions; a queue that does not answer raises StorageError. Whatever
ended or released a job may be said again: it is answered as it was the first time.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal, Protocol

from service.domain.job import ClaimedJob, Job, JobFailure, JobId, NewJob, Priority, Progress
from service.domain.result import JobResult

EnqueueVerdict = Literal["ok", "dup", "mismatch", "full", "quota", "closed"]
RoomVerdict = Literal["ok", "full", "quota"]
LeaseVerdict = Literal["ok", "cancel", "lost"]
FinishVerdict = Literal["succeeded", "failed", "retry", "cancelled", "expired", "fenced", "gone"]
ReleaseVerdict = Literal["queued", "cancelled", "expired", "fenced", "gone"]
CancelVerdict = Literal["cancelled", "cancelling", "succeeded", "failed", "notfound"]
News = Literal["work", "cancel"]


@dataclass(frozen=True)
class Enqueued:
    """What became of an enqueue.

    Attributes:
        verdict: `ok`, or why no job was added: `dup` (this id, or this key with this content, is here already),
            `mismatch` (this key with another content), `full` (too many live jobs), `quota` (too many of this tenant),
            `closed` (its batch takes no more).
        job_id: the job that now stands for the call; with `dup` by key it is the first one's.
    """

    verdict: EnqueueVerdict
    job_id: JobId


@dataclass(frozen=True)
class QueueStats:
    """Figures of the whole queue.

    Attributes:
        queued: jobs that wait for a worker, delayed ones included; likewise running.
        oldest_wait_seconds: how long the oldest of them has waited.
        queued_cost: row-steps of the queued jobs, by class; likewise running_cost, over all classes.
        num_suspects: queued jobs that must run alone.
        num_dead: jobs that failed because their deliveries were used up.
        forecast_ratios: actual over forecast duration of jobs that have lately ended well, oldest first.
    """

    queued: int
    running: int
    oldest_wait_seconds: float
    queued_cost: Mapping[Priority, int] = field(default_factory=dict[Priority, int])
    running_cost: int = 0
    num_suspects: int = 0
    num_dead: int = 0
    forecast_ratios: Sequence[float] = ()


JobEnd = Literal["succeeded", "failed", "cancelled", "deadline_exceeded", "attempts_exhausted"]
"""How a job has ended; the last two are failures too: late, and given up after too many deliveries."""


@dataclass(frozen=True)
class QueueFigures:
    """What monitoring asks the whole queue for, now and then.

    Attributes:
        queued: jobs that wait for a worker, by class, delayed ones included.
        oldest_wait_seconds: by class, how long the oldest of those has waited that a worker could take now.
        running: jobs that some worker holds.
        num_dead: jobs that failed because their deliveries were used up, as long as their records are kept.
        ends: how many jobs have ended so since the queue was made.
        num_batches: batches that have not ended.
        batch_items_left: their items that have not ended.
        batch_pause_seconds: for how long no item of the slowest of them has ended.
    """

    queued: Mapping[Priority, int]
    oldest_wait_seconds: Mapping[Priority, float]
    running: int
    num_dead: int
    ends: Mapping[JobEnd, int]
    num_batches: int
    batch_items_left: int
    batch_pause_seconds: float


class JobIntake(Protocol):
    """The gateway's verbs."""

    async def enqueue(self, job: NewJob) -> Enqueued:
        """Accept the job in one atomic step, or say why not."""
        ...

    async def room(self, tenant: str) -> RoomVerdict:
        """What a new job of this tenant would be told now, in the words of `Enqueued`."""
        ...

    async def read(self, job_id: JobId) -> Job | None:
        """The job as it stands, None if there is none of that id."""
        ...

    async def cancel(self, job_id: JobId, tenant: str) -> CancelVerdict:
        """End a queued job at once, ask for the end of a running one; what has ended stays as it is."""
        ...

    async def wait_for_end(self, job_id: JobId, timeout_seconds: float) -> Job | None:
        """`read`, once the job has ended, the time is over, or waits have been ended."""
        ...

    def end_waits(self) -> None:
        """End every `wait_for_end`, those to come as well: whoever waits reads the job as it stands."""
        ...

    async def stats(self) -> QueueStats:
        """Figures of the whole queue."""
        ...

    async def figures(self) -> QueueFigures:
        """More of them, for monitoring."""
        ...


class JobLeases(Protocol):
    """The worker's verbs; blocking calls."""

    def claim(self, free_rows: int, num_running: int) -> Sequence[ClaimedJob]:
        """Take jobs of at most free_rows rows in all, or one of more rows if none is running; never waits."""
        ...

    def wait_for_news(self, timeout_seconds: float) -> AbstractSet[News]:
        """Return when a job may be waiting or a cancel may concern this worker, or when the time is over."""
        ...

    def heartbeat(self, jobs: Mapping[JobId, tuple[int, Progress]]) -> Mapping[JobId, LeaseVerdict]:
        """Extend the leases of these jobs (fence, progress).

        `cancel` means: still ours, and to be ended by `end_cancelled`; `lost` means that it is no longer ours.
        """
        ...

    def succeed(self, job_id: JobId, result: JobResult) -> FinishVerdict:
        """Commit a result whose bytes are durable, if `result.fence` is still the current one."""
        ...

    def fail(self, job_id: JobId, fence: int, failure: JobFailure, *, may_retry: bool) -> FinishVerdict:
        """End the job as failed, or send it back for another try while any is left."""
        ...

    def end_cancelled(self, job_id: JobId, fence: int) -> FinishVerdict:
        """End a job whose heartbeat said `cancel`: as cancelled, or as failed if it was its deadline."""
        ...

    def release(self, job_id: JobId, fence: int) -> ReleaseVerdict:
        """Give the job back unharmed; this delivery does not count."""
        ...


class QueueFunctions(Protocol):
    """What the queue's server must know so that the others can call it; blocking calls, from any thread."""

    def ensure(self) -> None:
        """Return once the server knows what this version calls, from a newer version if need be.

        Raises:
            StorageError: `queue_unavailable`: it does not answer, or does not know that and may not be told.
        """
        ...


class JobUpkeep(Protocol):
    """What keeps the queue honest: expired leases go back, old results go."""

    async def reap(self, deleted: Sequence[str]) -> Sequence[str]:
        """One bounded round; returns ids whose files may now be deleted, again until named in `deleted`.

        They are ids of jobs, and of pictures of the library that nobody has used for a week.
        """
        ...
