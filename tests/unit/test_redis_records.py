"""What goes into the queue comes out as it was, and what is not of this version is refused, not misread."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.redis_records import (
    Claimed,
    claimed_from_json,
    figures_from_json,
    job_from_record,
    job_then,
    request_from_json,
    request_to_json,
    result_from_json,
    result_to_json,
    stats_from_json,
)
from service.domain.errors import StorageError
from service.domain.job import ClaimedJob, JobFailure, JobStatus, Priority, Progress
from service.domain.pose import KeyPoints
from service.domain.request import MAX_SEED, GenerationRequest, ImageFormat, OutputOptions, Sampler, SamplingParams
from service.domain.result import JobResult, PictureFile
from service.ports.queue import QueueFigures, QueueStats
from tests.unit.builders import a_job_id, a_request, a_result, repeatable
from xmdpt.presets import Preset

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.floats(0, 1e6)
REQUESTS = st.builds(
    GenerationRequest,
    model=TEXTS,
    params=st.builds(
        SamplingParams,
        st.integers(0, MAX_SEED),
        st.integers(2, 250),
        st.floats(1, 10),
        st.sampled_from(Sampler),
        st.sampled_from(Preset),
    ),
    output=st.builds(
        OutputOptions,
        st.sampled_from(ImageFormat),
        st.integers(1, 100),
        st.integers(0, 50),
        st.booleans(),
        st.none() | st.integers(1, 1024),
    ),
    source_digest=TEXTS,
    pose_digest=TEXTS,
    metadata=st.dictionaries(TEXTS, TEXTS, max_size=3),
    found_pose=st.none()
    | st.builds(
        KeyPoints,
        st.lists(st.none() | st.tuples(NUMBERS, NUMBERS), min_size=18, max_size=18).map(tuple),
        st.tuples(NUMBERS, NUMBERS),
        st.tuples(NUMBERS, NUMBERS),
    ),
)
RESULTS = st.builds(
    JobResult,
    fence=st.integers(1, 2**53),
    content_type=TEXTS,
    files=st.lists(st.builds(PictureFile, TEXTS, st.integers(0, 10**9)), min_size=1, max_size=8).map(tuple),
    model_digest=TEXTS,
    runtime=TEXTS,
    stage_seconds=st.dictionaries(TEXTS, NUMBERS, max_size=6),
    cache=st.dictionaries(TEXTS, st.sampled_from(["hit", "miss"]), max_size=2),
    precision=TEXTS,
)


def test_request_when_it_was_stored_before_there_were_presets_then_it_asks_for_the_exact_one() -> None:
    stored = request_to_json(a_request())

    assert "preset" not in stored
    assert request_from_json(stored).params.preset is Preset.EXACT


def a_record(**fields: str) -> dict[str, str]:
    """A queued job's hash."""
    record = {
        "state": "queued",
        "tenant": "ada",
        "class": "batch",
        "request": request_to_json(a_request()),
        "deliveries": "0",
        "created_ms": "1500",
        "deadline_ms": "61500",
    }
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


def test_request_when_an_earlier_version_wrote_it_then_what_it_lacks_is_as_if_not_asked_for() -> None:
    fields = json.loads(request_to_json(a_request()))
    for name in ("is_inline", "width_px"):
        del fields["output"][name]
    del fields["metadata"], fields["found_pose"]

    assert request_from_json(json.dumps(fields)) == a_request()


@repeatable
@given(RESULTS)
def test_result_when_written_and_read_then_it_is_the_same_in_the_same_order(result: JobResult) -> None:
    read = result_from_json(result_to_json(result))

    assert read == result
    assert list(read.stage_seconds) == list(result.stage_seconds)


def test_result_when_it_is_of_a_version_with_one_picture_a_job_then_that_is_the_first() -> None:
    fields = json.loads(result_to_json(a_result()))
    (file,) = fields.pop("files")

    assert result_from_json(json.dumps(fields | file)) == a_result()


def test_request_when_it_is_of_a_version_with_one_picture_a_job_then_it_asks_for_one() -> None:
    fields = json.loads(request_to_json(a_request()))
    del fields["num_images"]

    assert request_from_json(json.dumps(fields)) == a_request()


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"model": "tiny"}', '{"params": 1, "output": 2}'])
def test_text_when_it_is_none_of_ours_then_the_queue_is_to_blame(text: str) -> None:
    for read in (request_from_json, result_from_json):
        with pytest.raises(StorageError) as error:
            read(text)
        assert error.value.code == "queue_unavailable"


@pytest.mark.parametrize(("place", "value"), [(("params", "sampler"), "euler"), (("output", "format"), "gif")])
def test_request_when_it_can_not_even_be_shown_then_refused(place: tuple[str, str], value: Any) -> None:
    fields = json.loads(request_to_json(a_request()))
    fields[place[0]][place[1]] = value

    with pytest.raises(StorageError):
        request_from_json(json.dumps(fields))


def a_claim(number: int, **fields: Any) -> dict[str, Any]:
    """One job of a claim's answer."""
    job = {
        "id": a_job_id(number),
        "fence": number + 10,
        "request": request_to_json(a_request(number)),
        "is_suspect": False,
        "class": "interactive",
        "waited_ms": -3,
        "left_ms": -1,
    }
    return job | fields


def test_claim_when_jobs_are_given_then_in_their_order() -> None:
    second = a_claim(2, **{"is_suspect": True, "class": "batch", "waited_ms": 1500, "left_ms": 500})

    assert claimed_from_json(json.dumps({"hold": False, "jobs": [second, a_claim(1)]})) == Claimed(
        (
            ClaimedJob(a_job_id(2), 12, a_request(2), True, 1.5, Priority.BATCH, seconds_left=0.5),
            ClaimedJob(a_job_id(1), 11, a_request(1), False, 0.0, Priority.INTERACTIVE, seconds_left=0.0),
        ),
        {},
        {},
    )


@pytest.mark.parametrize("fields", [{"request": "{}"}, {"class": "bulk"}, {"waited_ms": None}])
def test_claim_when_a_job_is_not_of_this_version_then_it_is_named_and_the_others_are_read(
    fields: dict[str, Any],
) -> None:
    answer = {"hold": False, "jobs": [a_claim(1), a_claim(2, **fields), a_claim(3)]}

    claimed = claimed_from_json(json.dumps(answer))

    assert [job.id for job in claimed.jobs] == [a_job_id(1), a_job_id(3)]
    assert (claimed.newer, claimed.unreadable) == ({}, {a_job_id(2): 12})
    assert claimed.may_be_more


def newer(*path: str, value: Any = 3) -> str:
    """A request to which a newer version has added, or in which it has changed, one thing."""
    fields = json.loads(request_to_json(a_request(2)))
    place = fields
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return json.dumps(fields)


NEWER = {
    "request": newer("shade"),
    "params": newer("params", "shade"),
    "output": newer("output", "shade"),
    "sampler": newer("params", "sampler", value="newest"),
}


@pytest.mark.parametrize("request_text", NEWER.values(), ids=NEWER)
def test_claim_when_a_request_is_of_a_newer_version_then_it_is_told_from_one_that_nobody_can_read(
    request_text: str,
) -> None:
    claimed = claimed_from_json(json.dumps({"hold": False, "jobs": [a_claim(1), a_claim(2, request=request_text)]}))

    assert [job.id for job in claimed.jobs] == [a_job_id(1)]
    assert (claimed.newer, claimed.unreadable) == ({a_job_id(2): 12}, {})


@pytest.mark.parametrize("place", ["request", "params", "output"])
def test_record_when_a_newer_version_knows_more_of_it_then_the_rest_is_shown(place: str) -> None:
    assert job_from_record(a_job_id(), a_record(request=NEWER[place], novelty="1")).request == a_request(2)


def test_result_when_a_newer_version_says_more_then_the_rest_is_shown() -> None:
    fields = json.loads(result_to_json(a_result()))
    fields["files"] = [file | {"shade": 3} for file in fields["files"]]

    assert result_from_json(json.dumps(fields | {"shade": 3})) == a_result()


@pytest.mark.parametrize("answer", ["no JSON", "{}", '{"jobs":[{"request":"{}"}]}'])
def test_claim_when_nothing_of_it_can_be_read_then_refused(answer: str) -> None:
    with pytest.raises(StorageError, match="not one of this version"):
        claimed_from_json(answer)


@pytest.mark.parametrize("answer", ['{"hold":true,"jobs":{}}', '{"hold":false,"jobs":[]}'])
def test_claim_when_there_is_nothing_then_an_empty_lua_table_is_no_job(answer: str) -> None:
    claimed = claimed_from_json(answer)

    assert claimed == Claimed((), {}, {})
    assert not claimed.may_be_more


@pytest.mark.parametrize("state", ["queued", "delayed"])
def test_record_when_the_job_waits_then_traces_of_earlier_deliveries_are_not_shown(state: str) -> None:
    record = a_record(**(RUNNING | {"state": state, "retry_ms": "4500"}))
    job = job_from_record(a_job_id(), record, position=4, work_ahead=99)

    assert (job.status, job.position, job.work_ahead, job.attempt) == (JobStatus.QUEUED, 4, 99, 2)
    assert (job.started_at, job.progress, job.created_at) == (None, Progress(), 1.5)
    assert (job.request, job.priority, job.deadline_at) == (a_request(), Priority.BATCH, 61.5)
    assert job.retry_at == (4.5 if state == "delayed" else None), "an earlier pause is over"


def test_record_when_the_job_runs_then_its_progress_is_shown_and_no_position() -> None:
    job = job_from_record(a_job_id(), a_record(**RUNNING), position=4, work_ahead=99)

    assert (job.status, job.position, job.work_ahead) == (JobStatus.RUNNING, 0, 0)
    assert (job.started_at, job.progress) == (2.5, Progress("tdnet_step", 3))
    assert (job.ended_at, job.result, job.failure) == (None, None, None)


@pytest.mark.parametrize(("cause", "status"), [("client", JobStatus.CANCELLING), ("deadline", JobStatus.RUNNING)])
def test_record_when_a_running_job_is_not_wanted_then_only_a_clients_wish_is_shown(
    cause: str, status: JobStatus
) -> None:
    assert job_from_record(a_job_id(), a_record(**RUNNING, cancel=cause)).status is status


@pytest.mark.parametrize("traces", [{}, RUNNING | {"cancel": "client"}])
def test_record_when_the_job_was_cancelled_then_so_wherever_it_was(traces: dict[str, str]) -> None:
    end = {"state": "cancelled", "ended_ms": "3500", "expires_ms": "9500"}
    job = job_from_record(a_job_id(), a_record(**(traces | end)))

    assert (job.status, job.ended_at, job.result, job.failure) == (JobStatus.CANCELLED, 3.5, None, None)
    assert job.progress == (Progress("tdnet_step", 3) if traces else Progress())


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


@pytest.mark.parametrize(
    "change", [{"state": "lost"}, {"class": "bulk"}, {"created_ms": "soon"}, {"request": "{}"}, {"state": ""}]
)
def test_record_when_it_is_not_of_this_version_then_refused(change: dict[str, str]) -> None:
    with pytest.raises(StorageError, match="not one of this version"):
        job_from_record(a_job_id(), a_record(**change), 0)


FIGURES = {
    "queued": 3,
    "running": 2,
    "oldest_wait_ms": 1500,
    "queued_cost": {"interactive": 20, "batch": 5},
    "running_cost": 8,
    "num_suspects": 1,
    "num_dead": 4,
    "forecast_ratios": ["1.5", "0.25"],
}


def test_stats_when_read_then_every_figure_has_its_place() -> None:
    costs = {Priority.INTERACTIVE: 20, Priority.BATCH: 5}

    assert stats_from_json(json.dumps(FIGURES)) == QueueStats(3, 2, 1.5, costs, 8, 1, 4, (1.5, 0.25))


def test_stats_when_nothing_is_there_then_an_empty_lua_table_is_no_figure() -> None:
    stats = stats_from_json(json.dumps(FIGURES | {"forecast_ratios": {}, "oldest_wait_ms": -3}))

    assert (stats.forecast_ratios, stats.oldest_wait_seconds) == ((), 0.0)


def test_stats_when_they_are_not_of_this_version_then_refused() -> None:
    with pytest.raises(StorageError, match="not one of this version"):
        stats_from_json(json.dumps(FIGURES | {"queued_cost": {"bulk": 1}}))


MORE_FIGURES = {
    "queued": {"interactive": 3, "batch": 1},
    "oldest_wait_ms": {"interactive": 1500, "batch": -3},
    "running": 2,
    "num_dead": 4,
    "ends": {"succeeded": 7, "attempts_exhausted": 1},
    "num_batches": 5,
    "batch_items_left": 60,
    "batch_pause_ms": 2500,
}


def test_figures_when_read_then_every_one_has_its_place_and_none_is_missing() -> None:
    ends = {"succeeded": 7, "failed": 0, "cancelled": 0, "deadline_exceeded": 0, "attempts_exhausted": 1}
    queued = {Priority.INTERACTIVE: 3, Priority.BATCH: 1}
    waits = {Priority.INTERACTIVE: 1.5, Priority.BATCH: 0.0}

    assert figures_from_json(json.dumps(MORE_FIGURES)) == QueueFigures(queued, waits, 2, 4, ends, 5, 60, 2.5)
    assert set(figures_from_json(json.dumps(MORE_FIGURES | {"ends": {}})).ends.values()) == {0}


def test_figures_when_they_are_not_of_this_version_then_refused() -> None:
    with pytest.raises(StorageError, match="not one of this version"):
        figures_from_json(json.dumps(MORE_FIGURES | {"queued": {"bulk": 1}}))


def test_record_when_read_then_the_job_is_its_tenants() -> None:
    assert job_from_record(a_job_id(1), a_record(tenant="bob")).tenant == "bob"


def test_job_then_when_much_has_happened_since_then_nothing_of_that_is_in_it() -> None:
    then = {"state": "queued", "deliveries": "0"}
    since = {
        "state": "failed",
        "cancel": "client",
        "deliveries": "3",
        "started_ms": "2000",
        "ended_ms": "3000",
        "expires_ms": "4000",
        "retry_ms": "2500",
        "stage": "tdnet_step",
        "step": "4",
        "result": result_to_json(a_result()),
        "error_code": "backend_error",
        "error_detail": "why",
    }

    for state in ("queued", "running", "delayed", "succeeded"):
        changed = then | {"state": state}
        job = job_then(a_job_id(), a_record(**since), changed, 2, 8)

        assert job == job_from_record(a_job_id(), a_record(**changed), 2, 8)
