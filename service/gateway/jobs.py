"""What a client can do with a job: submit it, look at it, wait for it, fetch its picture.

It parses no HTTP and runs no graphs. Every answer of the queue is bounded in time.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.domain.digest import content_digest
from service.domain.errors import (
    JobStateError,
    NotFoundError,
    OverloadedError,
    RequestError,
    ServiceError,
    StorageError,
)
from service.domain.inputs import pack_inputs
from service.domain.job import Job, JobId, NewJob
from service.domain.request import MAX_SEED, GenerationRequest, OutputOptions, Sampler, SamplingParams
from service.domain.result import JobResult
from service.gateway.models import ServedModel
from service.ports.blobs import BlobStore
from service.ports.queue import JobIntake

# A client is told within this time that the queue is away.
MAX_QUEUE_SECONDS = 2.0


@dataclass(frozen=True)
class Submission:
    """A checked request with its pixels.

    Attributes:
        photo: uint8 [256,256,3] RGB as bytes; skeleton likewise.
        model: a variant's name, None for the served one.
        seed: None to have one drawn.
        num_steps: see `SamplingParams`; likewise guidance and sampler.
        output: how to write the picture.
    """

    photo: bytes
    skeleton: bytes
    model: str | None
    seed: int | None
    num_steps: int
    guidance: float
    sampler: Sampler
    output: OutputOptions


class Jobs:
    """The jobs of one deployment."""

    def __init__(self, intake: JobIntake, blobs: BlobStore, model: ServedModel) -> None:
        self._intake = intake
        self._blobs = blobs
        self._model = model

    async def submit(self, submission: Submission) -> JobId:
        """Accept a job; when this returns, it survives a crash of any process.

        Raises:
            RequestError: `unknown_model`.
            OverloadedError: `overloaded`; nothing was kept.
            StorageError: `queue_unavailable` or `storage_unavailable`.
        """
        if submission.model not in (None, self._model.name):
            raise RequestError.of_field("unknown_model", "/model", f"must be {self._model.name}, the model served here")
        job = NewJob(f"job_{secrets.token_hex(16)}", self._request_of(submission))
        content = pack_inputs(submission.photo, submission.skeleton)
        await asyncio.to_thread(self._blobs.put_input, job.id, content)
        # No clean-up if this raises: the queue may have accepted the job and only its answer was lost, so the pictures
        # stay until the sweep.
        async with _queue_answers_within(MAX_QUEUE_SECONDS):
            verdict = await self._intake.enqueue(job)
        if verdict == "full":
            await asyncio.to_thread(self._blobs.delete_job, job.id)
            raise OverloadedError("overloaded", "too many jobs are waiting; nothing was accepted, try again later")
        return job.id

    async def status(self, job_id: JobId) -> Job:
        """The job as it stands.

        Raises:
            NotFoundError: there is none of that id.
            StorageError: `queue_unavailable`.
        """
        async with _queue_answers_within(MAX_QUEUE_SECONDS):
            return _found(await self._intake.read(job_id))

    async def wait(self, job_id: JobId, timeout_seconds: float) -> Job:
        """The job once it has ended, or as it stands when the time is over; raises as `status`."""
        async with _queue_answers_within(timeout_seconds + MAX_QUEUE_SECONDS):
            return _found(await self._intake.wait_for_end(job_id, timeout_seconds))

    async def picture(self, job: Job) -> tuple[JobResult, bytes]:
        """The result of a job that was read just now, checked against its digest.

        Raises:
            JobStateError: `not_finished`, or `expired`.
            ServiceError: the job failed; with its own code.
            StorageError: `storage_unavailable`: the picture can't be read, or is damaged.
        """
        if not job.status.is_final:
            raise JobStateError("not_finished", f"the job is {job.status.value}", retry_after_seconds=1.0)
        if job.failure:
            raise ServiceError(job.failure.code, job.failure.detail)
        if job.is_expired or job.result is None:
            raise JobStateError("expired", "the picture has been deleted after its retention time")
        try:
            content = await asyncio.to_thread(self._blobs.get_output, job.id, job.result.fence)
        except NotFoundError:
            raise JobStateError("expired", "the picture is no longer stored") from None
        if hashlib.sha256(content).hexdigest() != job.result.sha256:
            raise StorageError("storage_unavailable", "the stored picture is damaged")
        return job.result, content

    def _request_of(self, submission: Submission) -> GenerationRequest:
        seed = secrets.randbelow(MAX_SEED + 1) if submission.seed is None else submission.seed
        return GenerationRequest(
            model=self._model.name,
            params=SamplingParams(seed, submission.num_steps, submission.guidance, submission.sampler),
            output=submission.output,
            source_digest=content_digest(submission.photo),
            pose_digest=content_digest(submission.skeleton),
        )


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFoundError("there is no such job")
    return job


@asynccontextmanager
async def _queue_answers_within(seconds: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StorageError("queue_unavailable", "the queue does not answer; try again later") from None
