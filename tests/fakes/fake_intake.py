"""A queue for one gateway, in memory: what it accepted, how its jobs ended, and scripted trouble."""

import asyncio
import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Literal

from service.domain.errors import StorageError
from service.domain.job import Job, JobFailure, JobStatus, NewJob, Progress
from service.domain.result import JobResult
from service.ports.queue import EnqueueVerdict, QueueStats

Trouble = Literal["none", "full", "refuses", "hangs"]


class FakeIntake:
    """Keeps jobs in a dictionary; `on_enqueue` plays the worker; `trouble` is what happens to each call."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.expired: list[str] = []
        self.num_reaps = 0
        self.trouble: Trouble = "none"
        self.on_enqueue: Callable[[NewJob], None] = lambda job: None

    def clear(self) -> None:
        """Forget every job and all trouble."""
        self.jobs.clear()
        self.expired.clear()
        self.trouble = "none"

    async def enqueue(self, job: NewJob) -> EnqueueVerdict:
        await self._answer()
        if self.trouble == "full":
            return "full"
        self.jobs[job.id] = Job(job.id, JobStatus.QUEUED, job.request, 0, time.time())
        self.on_enqueue(job)
        return "ok"

    async def read(self, job_id: str) -> Job | None:
        await self._answer()
        return self.jobs.get(job_id)

    async def wait_for_end(self, job_id: str, timeout_seconds: float) -> Job | None:
        deadline = time.monotonic() + timeout_seconds
        while True:
            job = await self.read(job_id)
            if job is None or job.status.is_final or time.monotonic() >= deadline:
                return job
            await asyncio.sleep(0.005)

    async def stats(self) -> QueueStats:
        await self._answer()
        statuses = [job.status for job in self.jobs.values()]
        return QueueStats(statuses.count(JobStatus.QUEUED), statuses.count(JobStatus.RUNNING), 0.0)

    async def reap(self, deleted: Sequence[str]) -> Sequence[str]:
        await self._answer()
        self.num_reaps += 1
        self.expired = [job_id for job_id in self.expired if job_id not in deleted]
        return self.expired

    def run(self, job_id: str, step: int) -> None:
        """A worker has claimed the job and is at this step."""
        self._change(
            job_id, status=JobStatus.RUNNING, attempt=1, started_at=time.time(), progress=Progress("tdnet_step", step)
        )

    def succeed(self, job_id: str, content: bytes) -> None:
        """A worker has stored `content` under fence 1 and finished the job."""
        result = JobResult(
            fence=1,
            content_type=self.jobs[job_id].request.output.format.content_type,
            sha256=hashlib.sha256(content).hexdigest(),
            num_bytes=len(content),
            model_digest="sha256:" + "ab" * 32,
            runtime="fake",
            stage_seconds={"queue": 0.012, "tdnet_step": 0.25},
        )
        now = time.time()
        self._change(job_id, status=JobStatus.SUCCEEDED, ended_at=now, expires_at=now + 3600, result=result)

    def fail(self, job_id: str, code: str) -> None:
        """A worker has given the job up."""
        failure = JobFailure(code, "scripted failure")
        self._change(job_id, status=JobStatus.FAILED, ended_at=time.time(), failure=failure)

    def expire(self, job_id: str) -> None:
        """The picture's retention is over."""
        self._change(job_id, is_expired=True)

    def _change(self, job_id: str, **changes: object) -> None:
        self.jobs[job_id] = dataclasses.replace(self.jobs[job_id], **changes)  # pyright: ignore[reportArgumentType]

    async def _answer(self) -> None:
        if self.trouble == "refuses":
            raise StorageError("queue_unavailable", "scripted outage")
        if self.trouble == "hangs":
            await asyncio.Event().wait()
