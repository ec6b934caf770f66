"""A queue for one worker, in memory: jobs to hand out, and a record of what the worker said."""

import threading
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from service.domain.capacity import WorkerReport
from service.domain.errors import StorageError
from service.domain.job import ClaimedJob, JobFailure, Progress
from service.domain.result import JobResult
from service.ports.queue import News


class FakeLeases:
    """Hands out `jobs` as slots allow; `outages` of its answers fail first; `lost` and the like are per job."""

    def __init__(self, jobs: Sequence[ClaimedJob] = (), outages: int = 0) -> None:
        self.waiting = list(jobs)
        self.outages = outages
        self.lost: set[str] = set()
        self.unwanted: set[str] = set()
        self.fenced: set[str] = set()
        self.succeeded: dict[str, JobResult] = {}
        self.failed: dict[str, tuple[JobFailure, bool]] = {}
        self.released: list[str] = []
        self.cancelled: list[str] = []
        self.reports: list[WorkerReport] = []
        self.progress: dict[str, list[Progress]] = {}
        self.functions_trouble: StorageError | None = None
        self.num_ensured = 0
        self.is_idle = threading.Event()

    def _answer(self) -> None:
        if self.outages > 0:
            self.outages -= 1
            raise StorageError("queue_unavailable", "scripted outage")

    def claim(self, free_rows: int, num_running: int) -> Sequence[ClaimedJob]:
        self._answer()
        taken: list[ClaimedJob] = []
        while self.waiting and free_rows > 0:
            num_rows = self.waiting[0].request.num_images
            if num_rows > free_rows and (taken or num_running):
                break
            taken.append(self.waiting.pop(0))
            free_rows -= num_rows
        if not self.waiting and not taken and not num_running:
            self.is_idle.set()
        return taken

    def wait_for_news(self, timeout_seconds: float) -> AbstractSet[News]:
        threading.Event().wait(0.005)
        return frozenset({"work"})

    def ensure(self) -> None:
        self.num_ensured += 1
        if self.functions_trouble:
            raise self.functions_trouble

    def announce(self, report: WorkerReport, alive_seconds: float) -> None:
        self.reports.append(report)

    def withdraw(self, worker: str) -> None:
        self.reports.clear()

    def heartbeat(self, jobs: Mapping[str, tuple[int, Progress]]) -> Mapping[str, str]:
        self._answer()
        for job_id, (_, progress) in jobs.items():
            self.progress.setdefault(job_id, []).append(progress)
        return {
            job_id: "lost" if job_id in self.lost else "cancel" if job_id in self.unwanted else "ok" for job_id in jobs
        }

    def succeed(self, job_id: str, result: JobResult) -> str:
        self._answer()
        if job_id in self.fenced:
            return "fenced"
        assert job_id not in self.succeeded
        self.succeeded[job_id] = result
        return "succeeded"

    def fail(self, job_id: str, fence: int, failure: JobFailure, *, may_retry: bool) -> str:
        self._answer()
        self.failed[job_id] = failure, may_retry
        return "failed"

    def end_cancelled(self, job_id: str, fence: int) -> str:
        self._answer()
        self.cancelled.append(job_id)
        return "cancelled"

    def release(self, job_id: str, fence: int) -> str:
        self._answer()
        if job_id in self.lost:
            return "fenced"
        self.released.append(job_id)
        return "queued"
