"""What goes into the queue comes out as it was, and what is not of this version is refused, not misread."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.redis_records import (
    claimed_jobs_from_json,
    job_from_record,
    request_from_json,
    request_to_json,
    result_from_json,
    result_to_json,
)
from service.domain.errors import StorageError
from service.domain.job import ClaimedJob, JobFailure, JobStatus, Progress
from service.domain.request import MAX_SEED, GenerationRequest, ImageFormat, OutputOptions, Sampler, SamplingParams
from service.domain.result import JobResult
from tests.unit.builders import a_job_id, a_request, a_result, repeatable

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.floats(0, 1e6)
REQUESTS = st.builds(
    GenerationRequest,
    model=TEXTS,
    params=st.builds(
        SamplingParams, st.integers(0, MAX_SEED), st.integers(2, 250), st.floats(1, 10), st.sampled_from(Sampler)
    ),
    output=st.builds(OutputOptions, st.sampled_from(ImageFormat), st.integers(1, 100)),
    source_digest=TEXTS,
    pose_digest=TEXTS,
)
RESULTS = st.builds(
    JobResult,
    fence=st.integers(1, 2**53),
    content_type=TEXTS,
    sha256=TEXTS,
    num_bytes=st.integers(0, 10**9),
    model_digest=TEXTS,
    runtime=TEXTS,
    stage_seconds=st.dictionaries(TEXTS, NUMBERS, max_size=6),
)


def a_record(**fields: str) -> dict[str, str]:
    """A queued job's hash."""
    record = {"state": "queued", "request": request_to_json(a_request()), "deliveries": "0", "created_ms": "1500"}
    return record | fields


RUNNING = {"state": "running", "deliveries": "2", "started_ms": "2500", "stage": "tdnet_step", "step": "3"}
ENDED = RUNNING | {"ended_ms": "3500", "expires_ms": "9500"}


@repeatable
@given(REQUESTS)
def test_request_when_written_and_read_then_it_is_the_same(request: GenerationRequest) -> None:
    read = request_from_json(request_to_json(request))

    assert read == request
    assert isinstance(read.params.sampler, Sampler)
    assert isinstance(read.output.format, ImageFormat)


@repeatable
@given(RESULTS)
def test_result_when_written_and_read_then_it_is_the_same_in_the_same_order(result: JobResult) -> None:
    read = result_from_json(result_to_json(result))

    assert read == result
    assert list(read.stage_seconds) == list(result.stage_seconds)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"model": "tiny"}', '{"params": 1, "output": 2}'])
def test_text_when_it_is_none_of_ours_then_the_queue_is_to_blame(text: str) -> None:
    for read in (request_from_json, result_from_json):
        with pytest.raises(StorageError) as error:
            read(text)
        assert error.value.code == "queue_unavailable"


@pytest.mark.parametrize(
    ("place", "value"), [(("params", "sampler"), "euler"), (("output", "format"), "gif"), (("params", "eta"), 0.5)]
)
def test_request_when_it_is_of_a_newer_version_then_it_is_refused(place: tuple[str, str], value: Any) -> None:
    fields = json.loads(request_to_json(a_request()))
    fields[place[0]][place[1]] = value

    with pytest.raises(StorageError):
        request_from_json(json.dumps(fields))


def test_claim_when_jobs_are_given_then_in_their_order() -> None:
    jobs = [
        {
            "id": a_job_id(number),
            "fence": number + 10,
            "request": request_to_json(a_request(number)),
            "is_suspect": number == 2,
            "waited_ms": waited_ms,
        }
        for number, waited_ms in ((2, 1500), (1, -3))
    ]

    assert claimed_jobs_from_json(json.dumps({"hold": False, "jobs": jobs})) == (
        ClaimedJob(a_job_id(2), 12, a_request(2), is_suspect=True, queue_seconds=1.5),
        ClaimedJob(a_job_id(1), 11, a_request(1), is_suspect=False, queue_seconds=0.0),
    )


@pytest.mark.parametrize("answer", ['{"hold":true,"jobs":{}}', '{"hold":false,"jobs":[]}'])
def test_claim_when_there_is_nothing_then_an_empty_lua_table_is_no_job(answer: str) -> None:
    assert claimed_jobs_from_json(answer) == ()


@pytest.mark.parametrize("state", ["queued", "delayed"])
def test_record_when_the_job_waits_then_traces_of_earlier_deliveries_are_not_shown(state: str) -> None:
    job = job_from_record(a_job_id(), a_record(**(RUNNING | {"state": state})), position=4)

    assert (job.status, job.position, job.attempt) == (JobStatus.QUEUED, 4, 2)
    assert (job.started_at, job.progress, job.created_at) == (None, Progress(), 1.5)
    assert job.request == a_request()


def test_record_when_the_job_runs_then_its_progress_is_shown_and_no_position() -> None:
    job = job_from_record(a_job_id(), a_record(**RUNNING), position=4)

    assert (job.status, job.position) == (JobStatus.RUNNING, 0)
    assert (job.started_at, job.progress) == (2.5, Progress("tdnet_step", 3))
    assert (job.ended_at, job.result, job.failure) == (None, None, None)


def test_record_when_the_job_has_ended_then_its_end_is_shown() -> None:
    well = a_record(**(ENDED | {"state": "succeeded", "result": result_to_json(a_result())}))
    badly = a_record(**(ENDED | {"state": "failed", "error_code": "backend_error", "error_detail": "why"}))

    succeeded, failed = (job_from_record(a_job_id(), record, 0) for record in (well, badly))
    expired = job_from_record(a_job_id(), well | {"expired": "1"}, 0)

    assert (succeeded.status, succeeded.result, succeeded.failure) == (JobStatus.SUCCEEDED, a_result(), None)
    assert (succeeded.ended_at, succeeded.expires_at, succeeded.is_expired) == (3.5, 9.5, False)
    assert (failed.status, failed.result) == (JobStatus.FAILED, None)
    assert failed.failure == JobFailure("backend_error", "why")
    assert expired.is_expired


@pytest.mark.parametrize("change", [{"state": "cancelled"}, {"created_ms": "soon"}, {"request": "{}"}, {"state": ""}])
def test_record_when_it_is_not_of_this_version_then_refused(change: dict[str, str]) -> None:
    with pytest.raises(StorageError, match="not one of this version"):
        job_from_record(a_job_id(), a_record(**change), 0)
