"""A queue for one gateway, in memory: what it accepted, how its jobs ended, and scripted trouble."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from service.domain.capacity import Capacity, StepCurve, WorkerReport
from service.domain.errors import StorageError
from service.domain.execution import Execution
from service.domain.job import IdempotencyKey, Job, JobFailure, JobStatus, NewJob, Priority, Progress
from service.domain.result import JobResult, PictureFile
from service.ports.archive import EraseVerdict, JobChoice, JobHistory, JobPage, Latency
from service.ports.audit import InvariantKind
from service.ports.queue import CancelVerdict, Enqueued, JobEnd, QueueFigures, QueueStats, RoomVerdict

Trouble = Literal["none", "full", "quota", "refuses", "hangs"]


def a_worker_report(step_seconds: float = 0.1) -> WorkerReport:
    """Of a worker that runs one job after the other, each step in this time and everything else in none."""
    capacity = Capacity(StepCurve([(1, step_seconds)]), {}, Execution.STEPWISE, max_batch=1, num_slots=1)
    return WorkerReport("worker", "fake", "sha256:" + "ab" * 32, capacity)


class FakeIntake:
    """Keeps jobs in a dictionary; `on_enqueue` plays the worker; `trouble` is what happens to each call."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.accepted: list[NewJob] = []
        self.expired: list[str] = []
        self.functions_trouble: StorageError | None = None
        self.num_ensured = 0
        self.workers: list[WorkerReport] = []
        self.forecast_ratios: list[float] = []
        self.ended: list[Latency] = []
        self.ends: dict[JobEnd, int] = {}
        self.violations: dict[InvariantKind, list[str]] = {}
        self.are_waits_over = False
        self.num_reaps = self.num_audits = self.num_stats = self.num_waiting = 0
        self.trouble: Trouble = "none"
        self.on_enqueue: Callable[[NewJob], None] = lambda job: None
        self._keys: dict[str, tuple[IdempotencyKey, str]] = {}

    def clear(self) -> None:
        """Forget every job, every worker and all trouble."""
        for kept in (
            self.jobs,
            self.accepted,
            self.expired,
            self.workers,
            self.forecast_ratios,
            self.ended,
            self._keys,
        ):
            kept.clear()
        self.trouble = "none"
        self.functions_trouble = None

    async def enqueue(self, job: NewJob) -> Enqueued:
        await self._answer()
        if job.idempotency and job.idempotency.key in self._keys:
            known, job_id = self._keys[job.idempotency.key]
            return Enqueued("dup" if known == job.idempotency else "mismatch", job_id)
        if self.trouble in ("full", "quota"):
            return Enqueued(self.trouble, job.id)
        now = time.time()
        self.jobs[job.id] = Job(
            job.id,
            JobStatus.QUEUED,
            job.request,
            0,
            now,
            priority=job.priority,
            deadline_at=now + job.deadline_seconds,
            work_ahead=sum(self._queued_cost().values()),
            tenant=job.tenant,
        )
        self.accepted.append(job)
        if job.idempotency:
            self._keys[job.idempotency.key] = (job.idempotency, job.id)
        self.on_enqueue(job)
        return Enqueued("ok", job.id)

    async def room(self, tenant: str) -> RoomVerdict:
        await self._answer()
        return "full" if self.trouble == "full" else "quota" if self.trouble == "quota" else "ok"

    async def read(self, job_id: str) -> Job | None:
        await self._answer()
        return self.jobs.get(job_id)

    async def cancel(self, job_id: str, tenant: str) -> CancelVerdict:
        await self._answer()
        status = self.jobs[job_id].status
        if status is JobStatus.QUEUED:
            self._change(job_id, status=JobStatus.CANCELLED, ended_at=time.time())
            return "cancelled"
        if status is JobStatus.RUNNING:
            self._change(job_id, status=JobStatus.CANCELLING)
            return "cancelling"
        return status.value  # pyright: ignore[reportReturnType]

    async def wait_for_end(self, job_id: str, timeout_seconds: float) -> Job | None:
        deadline = time.monotonic() + timeout_seconds
        self.num_waiting += 1
        try:
            while True:
                job = await self.read(job_id)
                if job is None or job.status.is_final or self.are_waits_over or time.monotonic() >= deadline:
                    return job
                await asyncio.sleep(0.005)
        finally:
            self.num_waiting -= 1

    def end_waits(self) -> None:
        self.are_waits_over = True

    def ensure(self) -> None:
        self.num_ensured += 1
        if self.functions_trouble:
            raise self.functions_trouble

    async def stats(self) -> QueueStats:
        await self._answer()
        self.num_stats += 1
        statuses = [job.status for job in self.jobs.values()]
        running = [job for job in self.jobs.values() if job.status is JobStatus.RUNNING]
        return QueueStats(
            statuses.count(JobStatus.QUEUED),
            len(running),
            0.0,
            queued_cost=self._queued_cost(),
            running_cost=sum(job.request.params.num_steps for job in running),
            num_dead=3,
            forecast_ratios=tuple(self.forecast_ratios),
        )

    async def figures(self) -> QueueFigures:
        stats = await self.stats()
        queued = [job.priority for job in self.jobs.values() if job.status is JobStatus.QUEUED]
        counts = {priority: queued.count(priority) for priority in Priority}
        ends = self.ends | {"succeeded": [job.status for job in self.jobs.values()].count(JobStatus.SUCCEEDED)}
        return QueueFigures(counts, dict.fromkeys(Priority, 0.0), stats.running, stats.num_dead, ends, 0, 0, 0.0)

    async def reports(self) -> Sequence[WorkerReport]:
        """Of the workers that count as alive: the fake is the registry too."""
        await self._answer()
        return self.workers

    async def audit(self) -> Mapping[InvariantKind, Sequence[str]]:
        """The scripted findings: the fake is the auditor too."""
        await self._answer()
        self.num_audits += 1
        return self.violations

    async def reap(self, deleted: Sequence[str]) -> Sequence[str]:
        await self._answer()
        self.num_reaps += 1
        self.expired = [job_id for job_id in self.expired if job_id not in deleted]
        return self.expired

    async def history(self, job_id: str, tenant: str, after: int | None) -> JobHistory | None:
        """The job as it stands, and no change: the fake is the archive too."""
        job = await self.read(job_id)
        return JobHistory(job, 1, ()) if job and job.tenant == tenant else None

    async def latencies(self) -> Sequence[Latency]:
        await self._answer()
        return self.ended

    async def page(self, tenant: str, chosen: JobChoice, before: int | None, limit: int) -> JobPage:
        await self._answer()
        return JobPage(tuple(job for job in self.jobs.values() if job.tenant == tenant), None)

    async def erase(self, job_id: str, tenant: str) -> EraseVerdict:
        await self._answer()
        if job_id not in self.jobs or self.jobs[job_id].tenant != tenant:
            return "notfound"
        del self.jobs[job_id]
        return "erased"

    @asynccontextmanager
    async def changes_of(self, job_id: str) -> AsyncIterator[asyncio.Event]:
        yield asyncio.Event()

    def run(self, job_id: str, step: int) -> None:
        """A worker has claimed the job and is at this step."""
        self._change(
            job_id,
            status=JobStatus.RUNNING,
            attempt=1,
            started_at=time.time(),
            progress=Progress("tdnet_step", step),
            work_ahead=0,
        )

    def succeed(self, job_id: str, *contents: bytes) -> None:
        """A worker has stored these pictures under fence 1 and finished the job."""
        result = JobResult(
            fence=1,
            content_type=self.jobs[job_id].request.output.format.content_type,
            files=tuple(map(PictureFile.of, contents)),
            model_digest="sha256:" + "ab" * 32,
            runtime="fake",
            precision="int8",
            stage_seconds={"queue": 0.012, "tdnet_step": 0.25},
            cache={"source": "hit", "pose": "miss"},
        )
        now = time.time()
        self._change(job_id, status=JobStatus.SUCCEEDED, ended_at=now, expires_at=now + 3600, result=result)

    def fail(self, job_id: str, code: str) -> None:
        """A worker has given the job up."""
        failure = JobFailure(code, "scripted failure")
        self._change(job_id, status=JobStatus.FAILED, ended_at=time.time(), failure=failure)

    def end_cancelled(self, job_id: str) -> None:
        """A worker has learned of the cancel."""
        self._change(job_id, status=JobStatus.CANCELLED, ended_at=time.time())

    def delay(self, job_id: str, retry_at: float) -> None:
        """An attempt failed and is repeated at this time."""
        self._change(job_id, status=JobStatus.QUEUED, retry_at=retry_at)

    def expire(self, job_id: str) -> None:
        """The picture's retention is over."""
        self._change(job_id, is_expired=True)

    def _queued_cost(self) -> dict[Priority, int]:
        queued = [job for job in self.jobs.values() if job.status is JobStatus.QUEUED]
        return {
            priority: sum(job.request.params.num_steps for job in queued if job.priority is priority)
            for priority in Priority
        }

    def _change(self, job_id: str, **changes: object) -> None:
        self.jobs[job_id] = dataclasses.replace(self.jobs[job_id], **changes)  # pyright: ignore[reportArgumentType]

    async def _answer(self) -> None:
        if self.trouble == "refuses":
            raise StorageError("queue_unavailable", "scripted outage")
        if self.trouble == "hangs":
            await asyncio.Event().wait()
