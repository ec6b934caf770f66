"""What a client says and makes of the answers, written once for the synchronous and the asynchronous client.

Each method is a generator: it yields what is to be sent and when, and is given the answer, or has the transport's
fault thrown in. It sends nothing itself and never sleeps.
"""

import math
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import httpx

from xmdpt_client import calls
from xmdpt_client.answers import (
    error_of,
    is_wait_granted,
    read_job,
    read_models,
    read_picture,
    read_pose,
    read_source,
    unreachable,
)
from xmdpt_client.calls import Call
from xmdpt_client.errors import JobStateError, WaitOverError
from xmdpt_client.inputs import StoredPose, StoredSource
from xmdpt_client.retries import pause_before_retry
from xmdpt_client.values import Generation, Job, Model, Picture, Progress

T = TypeVar("T")

# Shorter than the idle limits of usual proxies.
_LONG_POLL_SECONDS = 20
# Whoever watches wants to see something move.
_WATCHED_POLL_SECONDS = 1
# Between looks at a service that does not wait on request.
_POLL_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Exchange:
    """One call to be sent after a pause of so many seconds."""

    call: Call
    pause_seconds: float = 0.0


Flow: TypeAlias = Generator[Exchange, httpx.Response, T]
OnProgress: TypeAlias = Callable[[Progress], object]


class Conversation:
    """The calls of a client, with their repeats.

    Args:
        max_retries: how often a call is sent again, 0 or more.
    """

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries

    def generate(self, call: Call, wait: float | None, on_progress: OnProgress | None) -> Flow[Generation]:
        """Submit, wait, fetch."""
        job = yield from self.submit(call)
        ended = yield from self.wait(job, wait, on_progress)
        return (yield from self.result(ended))

    def submit(self, call: Call) -> Flow[Job]:
        """Send a submission; its key makes a repeat find the job that a lost answer told of."""
        return read_job((yield from self._answer(call)))

    def job(self, job_id: str) -> Flow[Job]:
        """Look at a job."""
        return read_job((yield from self._answer(calls.look(job_id))))

    def wait(self, job: Job | str, timeout: float | None, on_progress: OnProgress | None) -> Flow[Job]:
        """Look at a job until it has ended, or so many seconds are over."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        poll_seconds = _WATCHED_POLL_SECONDS if on_progress else _LONG_POLL_SECONDS
        seen = job if isinstance(job, Job) else (yield from self.job(job))
        pause = 0.0
        while True:
            if on_progress:
                on_progress(seen.progress)
            if seen.has_ended:
                return seen
            left = until - time.monotonic()
            if left <= 0:
                detail = f"{seen.id} is still {seen.status} after {timeout:g} s; it goes on"
                raise WaitOverError(detail, code="wait_over", retryable=True, job_id=seen.id)
            wait_seconds = math.ceil(min(left, poll_seconds))
            response = yield from self._answer(calls.look(seen.id, wait_seconds), min(pause, left))
            pause = 0.0 if is_wait_granted(response) else _POLL_PAUSE_SECONDS
            seen = read_job(response)

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

    def cancel(self, job_id: str) -> Flow[Job]:
        """Cancel a job."""
        return read_job((yield from self._answer(calls.cancel(job_id))))

    def upload_source(self, call: Call) -> Flow[StoredSource]:
        """Keep a photo; the same one again is found again, so a repeat does no harm."""
        return read_source((yield from self._answer(call)))

    def upload_pose(self, call: Call) -> Flow[StoredPose]:
        """Keep a pose, likewise."""
        return read_pose((yield from self._answer(call)))

    def delete(self, call: Call) -> Flow[None]:
        """Forget a photo or a pose."""
        yield from self._answer(call)

    def models(self) -> Flow[tuple[Model, ...]]:
        """Ask what is served."""
        return read_models((yield from self._answer(calls.models())))

    def _answer(self, call: Call, pause_seconds: float = 0.0) -> Flow[httpx.Response]:
        """The first answer that tells success; raises how the last try ended."""
        num_failures = 0
        while True:
            try:
                response = yield Exchange(call, pause_seconds)
            except httpx.RequestError as fault:
                error, cause = unreachable(fault), fault
            else:
                if response.is_success:
                    return response
                error, cause = error_of(response), None
            num_failures += 1
            pause = pause_before_retry(error, num_failures, random.random())
            if pause is None or num_failures > self._max_retries:
                raise error from cause
            pause_seconds = pause
