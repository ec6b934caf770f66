"""What a client says of jobs and makes of the answers, written once for the synchronous and the asynchronous client.

Each method is a flow (`xmdpt_client.exchanges`).
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import httpx

from xmdpt_client import calls
from xmdpt_client.answers import (
    is_event_stream,
    is_wait_granted,
    job_after,
    read_generation,
    read_job,
    read_jobs,
    read_models,
    read_picture,
    read_pose,
    read_poses,
    read_source,
    unreachable,
)
from xmdpt_client.calls import Call
from xmdpt_client.errors import JobStateError, WaitOverError, XmdptError
from xmdpt_client.exchanges import Asker, Exchange, Flow, NextLine
from xmdpt_client.inputs import StoredPose, StoredSource
from xmdpt_client.streams import EventReader
from xmdpt_client.values import Generation, Job, JobPage, Model, Picture, Progress

# Shorter than the idle limits of usual proxies.
_LONG_POLL_SECONDS = 20
# Whoever watches wants to see something move.
_WATCHED_POLL_SECONDS = 1
# Between looks at a service that does not wait on request.
_POLL_PAUSE_SECONDS = 1.0

OnProgress: TypeAlias = Callable[[Progress], object]


class Conversation:
    """The calls of a client, with their repeats.

    Args:
        max_retries: how often a call is sent again, 0 or more.
    """

    def __init__(self, max_retries: int) -> None:
        self._asker = Asker(max_retries)
        self._answer = self._asker.answer

    def generate(self, call: Call, wait: float | None, on_progress: OnProgress | None) -> Flow[Generation]:
        """Submit, wait, fetch: one call, unless it takes long or somebody watches."""
        start = time.monotonic()
        job = yield from (self.submit(call) if on_progress else self._picture_or_job(call, wait))
        if isinstance(job, Generation):
            return job
        ended = yield from self.wait(job, wait, on_progress, start)
        return (yield from self.result(ended))

    def _picture_or_job(self, call: Call, wait: float | None) -> Flow[Generation | Job | str]:
        seconds = math.ceil(min(_LONG_POLL_SECONDS if wait is None else max(0.0, wait), _LONG_POLL_SECONDS))
        try:
            response = yield from self._answer(calls.waited_for(call, seconds), ends_at_a_job=True)
        except XmdptError as error:
            if error.job_id is None:
                raise
            # Accepted: what has become of it, the job itself says best.
            return error.job_id
        return read_generation(response)

    def submit(self, call: Call) -> Flow[Job]:
        """Send a submission; its key makes a repeat find the job that a lost answer told of."""
        return read_job((yield from self._answer(call)))

    def job(self, job_id: str) -> Flow[Job]:
        """Look at a job."""
        return read_job((yield from self._answer(calls.look(job_id))))

    def wait(
        self, job: Job | str, timeout: float | None, on_progress: OnProgress | None, start: float | None = None
    ) -> Flow[Job]:
        """See a job to its end, or until so many seconds are over, from now or a moment of the monotonic clock.

        Who watches is told what the service tells as it happens. Where it does not, and for the last seconds of a
        limited time, in which a stream may be silent, the job is looked at again and again.
        """
        until = math.inf if timeout is None else (start or time.monotonic()) + timeout
        poll_seconds = _WATCHED_POLL_SECONDS if on_progress else _LONG_POLL_SECONDS
        seen = job if isinstance(job, Job) else (yield from self.job(job))
        pause, can_follow = 0.0, True
        while True:
            if on_progress:
                on_progress(seen.progress)
            if seen.has_ended:
                return seen
            left = until - time.monotonic()
            if left <= 0:
                detail = f"{seen.id} is still {seen.status} after {timeout:g} s; it goes on"
                raise WaitOverError(detail, code="wait_over", retryable=True, job_id=seen.id)
            if on_progress and can_follow and left > calls.SILENCE_SECONDS:
                seen, can_follow = yield from self._follow(seen, until, on_progress)
                continue
            wait_seconds = math.ceil(min(left, poll_seconds))
            response = yield from self._answer(calls.look(seen.id, wait_seconds), min(pause, left))
            pause = 0.0 if is_wait_granted(response) else _POLL_PAUSE_SECONDS
            seen = read_job(response)

    def _follow(self, seen: Job, until: float, on_progress: OnProgress) -> Flow[tuple[Job, bool]]:
        """Read the job's events; returns what they told last, and whether there may be more to follow."""
        last_id: str | None = None
        num_failures, pause = 0, 0.0
        while True:
            try:
                response = yield Exchange(calls.follow(seen.id, last_id), pause)
                if not is_event_stream(response):
                    return seen, False
                reader = EventReader()
                while (line := (yield NextLine())) is not None:
                    if event := reader.add(line):
                        seen, num_failures, last_id = job_after(seen, event), 0, reader.last_id or last_id
                        if seen.has_ended:
                            return seen, True
                        on_progress(seen.progress)
                    if until - time.monotonic() <= calls.SILENCE_SECONDS:
                        return seen, True
                error = XmdptError("the stream has ended before the job", retryable=True)
            except httpx.RequestError as fault:
                error = unreachable(fault)
            num_failures += 1
            next_pause = self._asker.pause_after(error, num_failures)
            if next_pause is None:
                return seen, False
            pause = next_pause

    def result(self, job: Job | str) -> Flow[Generation]:
        """Fetch the pictures of a job that has ended well."""
        if not (isinstance(job, Job) and job.has_ended):
            job = yield from self.job(job.id if isinstance(job, Job) else job)
        if job.error:
            raise job.error
        if job.status != "succeeded":
            code = "cancelled" if job.status == "cancelled" else "not_finished"
            detail = f"{job.id} is {job.status} and has no picture"
            raise JobStateError(detail, code=code, status=409, retryable=not job.has_ended, job_id=job.id)
        pictures: list[Picture] = []
        # Of a job without any, the service says what became of them.
        for index in range(len(job.outputs) or 1):
            response = yield from self._answer(calls.picture(job.id, index))
            pictures.append(read_picture(response, job.seed + index))
        return Generation(job.id, tuple(pictures))

    def jobs(self, status: str | None, batch_id: str | None, limit: int, cursor: str | None) -> Flow[JobPage]:
        """A page of the list."""
        return read_jobs((yield from self._answer(calls.jobs(status, batch_id, limit, cursor))))

    def cancel(self, job_id: str) -> Flow[Job]:
        """Cancel a job."""
        return read_job((yield from self._answer(calls.cancel(job_id))))

    def upload_source(self, call: Call) -> Flow[StoredSource]:
        """Keep a photo; the same one again is found again, so a repeat does no harm."""
        return read_source((yield from self._answer(call)))

    def upload_pose(self, call: Call) -> Flow[StoredPose]:
        """Keep a pose, likewise."""
        return read_pose((yield from self._answer(call)))

    def poses_between(self, call: Call) -> Flow[tuple[Mapping[str, Any], ...]]:
        """Ask for the poses on the way from one to another."""
        return read_poses((yield from self._answer(call)))

    def delete(self, call: Call) -> Flow[None]:
        """Forget a photo or a pose."""
        yield from self._answer(call)

    def models(self) -> Flow[tuple[Model, ...]]:
        """Ask what is served."""
        return read_models((yield from self._answer(calls.models())))
