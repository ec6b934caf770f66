"""Domain values with sensible contents, for tests that care about one field of them."""

import dataclasses
from typing import Any

from hypothesis import settings

from service.domain.digest import content_digest
from service.domain.inputs import PICTURE_BYTES, pack_inputs
from service.domain.job import ClaimedJob, Job, JobStatus, NewJob
from service.domain.request import GenerationRequest, OutputOptions, Sampler, SamplingParams
from service.domain.result import JobResult, PictureFile
from service.gateway.submission import JobOptions, Submission

# The same examples each time, on a machine of any speed.
repeatable = settings(derandomize=True, database=None, deadline=None)


def a_job_id(number: int = 1) -> str:
    return f"job_{number:032x}"


def pixels(level: int) -> bytes:
    """A uniform picture of 256 x 256 x 3 bytes."""
    return bytes([level % 256]) * PICTURE_BYTES


def an_input(number: int = 1) -> bytes:
    """What the gateway stores for a job of this number."""
    return pack_inputs(pixels(number), pixels(2 * number))


def a_request(number: int = 1, **params: Any) -> GenerationRequest:
    """The request whose pictures are `an_input(number)`."""
    return GenerationRequest(
        model="tiny",
        params=SamplingParams(**({"seed": number, "num_steps": 4} | params)),
        output=OutputOptions(),
        source_digest=content_digest(pixels(number)),
        pose_digest=content_digest(pixels(2 * number)),
    )


def a_new_job(number: int = 1) -> NewJob:
    return NewJob(a_job_id(number), a_request(number))


def a_claimed_job(number: int = 1, fence: int = 1) -> ClaimedJob:
    return ClaimedJob(a_job_id(number), fence, a_request(number), is_suspect=False, queue_seconds=0.1)


def a_job(number: int = 1, status: JobStatus = JobStatus.QUEUED, **fields: Any) -> Job:
    return Job(a_job_id(number), status, a_request(number), attempt=1, created_at=1000.0, **fields)


def a_result(fence: int = 1, **fields: Any) -> JobResult:
    defaults: dict[str, Any] = {
        "content_type": "image/png",
        "files": (PictureFile("ab" * 32, 1234),),
        "model_digest": "sha256:" + "cd" * 32,
        "runtime": "fake",
        "stage_seconds": {"queue": 0.5, "tdnet_step": 0.125},
    }
    return JobResult(fence=fence, **(defaults | fields))


def a_submission(number: int = 1, **changes: Any) -> Submission:
    """The submission whose pictures are `an_input(number)` and whose seed is the number, but for the changes."""
    options = JobOptions(None, number, 4, 2.0, Sampler.DDIM, OutputOptions())
    return with_changes(Submission(pixels(number), pixels(2 * number), options), **changes)


def with_changes(submission: Submission, **changes: Any) -> Submission:
    """Another submission, in which these fields of it or of its options differ."""
    pictures = {name: changes.pop(name) for name in ("photo", "skeleton") if name in changes}
    return dataclasses.replace(submission, options=dataclasses.replace(submission.options, **changes), **pictures)
