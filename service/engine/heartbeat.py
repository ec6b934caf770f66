"""Keeps the leases of the jobs in flight, in a thread of its own, and learns which are lost.

It stops no job itself: the worker asks `take_lost` between batches and tells the scheduler.
"""

import threading
import time
from collections.abc import Iterable

from service.domain.errors import StorageError
from service.domain.job import JobId, Progress
from service.ports.queue import JobLeases
from service.telemetry.logs import get_logger

# A lease is given up before the queue takes it away, so that two workers never both believe that they hold it.
_SELF_FENCE_RATIO = 0.8


class Heartbeat:
    """Reports every tracked job each interval; `lost` answers wait in `take_lost`."""

    def __init__(self, leases: JobLeases, interval_seconds: float, lease_seconds: float) -> None:
        """Nothing runs before `start`."""
        self._leases = leases
        self._interval = interval_seconds
        self._patience = _SELF_FENCE_RATIO * lease_seconds
        self._lock = threading.Lock()
        self._jobs: dict[JobId, tuple[int, Progress]] = {}
        self._kept_until: dict[JobId, float] = {}
        self._lost: set[JobId] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._log = get_logger()
        self.is_answered = True

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; leases run out by themselves."""
        self._stop.set()
        self._thread.join()

    def track(self, job_id: JobId, fence: int) -> None:
        """Keep this lease from now on; call it right after the claim."""
        with self._lock:
            self._jobs[job_id] = fence, Progress()
            self._kept_until[job_id] = time.monotonic() + self._patience

    def advance(self, job_ids: Iterable[JobId], stage: str) -> None:
        """A batch of this stage begins or has ended for these jobs."""
        with self._lock:
            for job_id in job_ids:
                if job_id in self._jobs:
                    fence, progress = self._jobs[job_id]
                    self._jobs[job_id] = fence, Progress(stage, progress.step)

    def count_steps(self, steps: Iterable[tuple[JobId, int]]) -> None:
        """These jobs have made so many denoising steps."""
        with self._lock:
            for job_id, step in steps:
                if job_id in self._jobs:
                    fence, progress = self._jobs[job_id]
                    self._jobs[job_id] = fence, Progress(progress.stage, step)

    def forget(self, job_id: JobId) -> None:
        """The job has left the worker."""
        with self._lock:
            self._jobs.pop(job_id, None)
            self._kept_until.pop(job_id, None)
            self._lost.discard(job_id)

    def take_lost(self) -> set[JobId]:
        """Jobs that are no longer ours, each told once."""
        with self._lock:
            lost, self._lost = self._lost, set()
            return lost

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._beat()

    def _beat(self) -> None:
        with self._lock:
            jobs = dict(self._jobs)
        sent = time.monotonic()
        try:
            verdicts = self._leases.heartbeat(jobs) if jobs else {}
            self.is_answered = True
        except StorageError as error:
            verdicts = {}
            self.is_answered = False
            self._log.warning("heartbeat unanswered", code=error.code, jobs=len(jobs))
        with self._lock:
            for job_id in jobs.keys() & self._jobs.keys():
                if self._jobs[job_id][0] != jobs[job_id][0]:
                    continue  # Claimed anew meanwhile: the answer is about the delivery before.
                if verdicts.get(job_id) == "ok":
                    self._kept_until[job_id] = sent + self._patience
                elif verdicts.get(job_id) == "lost" or time.monotonic() > self._kept_until[job_id]:
                    self._give_up(job_id)

    def _give_up(self, job_id: JobId) -> None:
        del self._jobs[job_id], self._kept_until[job_id]
        self._lost.add(job_id)
