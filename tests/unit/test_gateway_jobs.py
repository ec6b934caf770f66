"""Submitting a job and fetching its picture: in which order things happen, and what is left when one of them fails."""

import dataclasses
import hashlib
import re
from typing import Any

import pytest

from service.domain.errors import (
    JobStateError,
    NotFoundError,
    OverloadedError,
    RequestError,
    ServiceError,
    StorageError,
)
from service.domain.job import Job, JobFailure, JobStatus, NewJob
from service.domain.request import MAX_SEED, OutputOptions, Sampler
from service.gateway.jobs import Jobs, Submission
from service.ports.queue import EnqueueVerdict
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import MODEL
from tests.unit.builders import a_job, a_job_id, a_request, a_result, an_input, pixels


def a_submission(number: int = 1, **fields: Any) -> Submission:
    """The submission whose pictures are `an_input(number)`."""
    submission = Submission(pixels(number), pixels(2 * number), None, number, 4, 2.0, Sampler.DDIM, OutputOptions())
    return dataclasses.replace(submission, **fields)


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def jobs(intake: FakeIntake, blobs: MemoryBlobs) -> Jobs:
    return Jobs(intake, blobs, MODEL)


async def test_submit_when_accepted_then_the_pictures_were_stored_before(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    stored_at_enqueue: dict[str, bytes] = {}

    def look(job: NewJob) -> None:
        stored_at_enqueue.update(blobs.content)

    intake.on_enqueue = look

    job_id = await jobs.submit(a_submission(5))

    assert stored_at_enqueue == {f"in/{job_id}": an_input(5)}
    assert intake.jobs[job_id].request == a_request(5)


async def test_submit_when_repeated_then_each_job_has_an_unguessable_id_and_seed(
    jobs: Jobs, intake: FakeIntake
) -> None:
    ids = [await jobs.submit(a_submission(seed=None)) for _ in range(50)]

    seeds = [intake.jobs[job_id].request.params.seed for job_id in ids]
    assert all(re.fullmatch(r"job_[0-9a-f]{32}", job_id) for job_id in ids)
    assert len(set(ids)) == len(set(seeds)) == 50
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    # 50 seeds of 53 bits: that all are small has a chance of 2^-1000.
    assert max(seeds) > MAX_SEED >> 20


async def test_submit_when_the_queue_is_full_then_its_pictures_go_and_those_of_others_stay(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    await jobs.submit(a_submission(1))
    before = dict(blobs.content)
    intake.trouble = "full"

    with pytest.raises(OverloadedError) as error:
        await jobs.submit(a_submission(2))

    assert (error.value.code, error.value.retry_after_seconds) == ("overloaded", 1.0)
    assert blobs.content == before


async def test_submit_when_the_queue_does_not_answer_then_the_pictures_stay_as_it_may_have_accepted(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    intake.trouble = "refuses"

    with pytest.raises(StorageError, match="queue_unavailable"):
        await jobs.submit(a_submission())

    assert list(blobs.content.values()) == [an_input()]


async def test_submit_when_the_answer_was_lost_and_the_repeat_says_dup_then_it_is_accepted(
    intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    class AnswersDup(FakeIntake):
        async def enqueue(self, job: NewJob) -> EnqueueVerdict:
            await super().enqueue(job)
            return "dup"

    job_id = await Jobs(AnswersDup(), blobs, MODEL).submit(a_submission())

    assert blobs.content == {f"in/{job_id}": an_input()}


async def test_submit_when_the_storage_is_down_then_nothing_is_queued(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    blobs.is_down = True

    with pytest.raises(StorageError, match="storage_unavailable"):
        await jobs.submit(a_submission())

    assert intake.jobs == {}


@pytest.mark.parametrize("model", ["huge", "", "TINY"])
async def test_submit_when_the_model_is_another_then_nothing_is_stored(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs, model: str
) -> None:
    with pytest.raises(RequestError, match="unknown_model") as error:
        await jobs.submit(a_submission(model=model))

    assert [issue.pointer for issue in error.value.issues] == ["/model"]
    assert (intake.jobs, blobs.content) == ({}, {})


@pytest.mark.parametrize("wait_seconds", [None, 0, 0.01])
async def test_status_when_there_is_no_such_job_then_not_found(jobs: Jobs, wait_seconds: float | None) -> None:
    with pytest.raises(NotFoundError):
        await (jobs.status(a_job_id()) if wait_seconds is None else jobs.wait(a_job_id(), wait_seconds))


async def test_wait_when_the_time_is_over_then_the_job_as_it_stands(jobs: Jobs, intake: FakeIntake) -> None:
    intake.on_enqueue = lambda job: intake.run(job.id, 2)

    job = await jobs.wait(await jobs.submit(a_submission()), 0.02)

    assert (job.status, job.progress.step) == (JobStatus.RUNNING, 2)


def succeeded(content: bytes = b"picture", fence: int = 7, **fields: Any) -> Job:
    """A job that ended well; its record tells of this content."""
    result = a_result(fence, sha256=hashlib.sha256(content).hexdigest(), num_bytes=len(content))
    return a_job(status=JobStatus.SUCCEEDED, result=result, **fields)


async def test_picture_when_the_job_ended_well_then_the_bytes_of_its_own_fence(jobs: Jobs, blobs: MemoryBlobs) -> None:
    blobs.put_output(a_job_id(), 6, b"of a zombie")
    blobs.put_output(a_job_id(), 7, b"picture")

    result, content = await jobs.picture(succeeded())

    assert (result.fence, content) == (7, b"picture")


async def test_picture_when_its_bytes_are_not_those_of_the_record_then_it_is_not_given(
    jobs: Jobs, blobs: MemoryBlobs
) -> None:
    blobs.put_output(a_job_id(), 7, b"Picture")

    with pytest.raises(StorageError, match="damaged"):
        await jobs.picture(succeeded())


@pytest.mark.parametrize(
    ("job", "kind", "code"),
    [
        (a_job(), JobStateError, "not_finished"),
        (a_job(status=JobStatus.RUNNING), JobStateError, "not_finished"),
        (succeeded(is_expired=True), JobStateError, "expired"),
        (succeeded(fence=8), JobStateError, "expired"),
        (a_job(status=JobStatus.FAILED, failure=JobFailure("backend_error", "why")), ServiceError, "backend_error"),
    ],
    ids=["queued", "running", "expired", "file gone", "failed"],
)
async def test_picture_when_there_is_none_then_the_error_says_why(
    jobs: Jobs, blobs: MemoryBlobs, job: Job, kind: type[ServiceError], code: str
) -> None:
    blobs.put_output(a_job_id(), 7, b"picture")

    with pytest.raises(kind) as error:
        await jobs.picture(job)

    assert error.value.code == code
