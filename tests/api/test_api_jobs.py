"""Looking at a job and fetching its picture, in every state that it may be in."""

import threading
import time

import httpx
import pytest

from service.domain.job import NewJob
from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge

UNKNOWN = "job_" + "0" * 32
BAD_IDS = [
    UNKNOWN,
    UNKNOWN.upper(),
    "job_" + "0" * 31,
    "job_" + "0" * 33,
    "src_" + "0" * 32,
    "job_" + "g" * 32,
    "*",
    "..%2F..%2Fetc%2Fpasswd",
    "%2e%2e%2f",
    "%00",
    UNKNOWN + "%0a",
    "x" * 7_000,
]


def submitted(edge: Edge) -> str:
    return edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]


def leave_waiting(job: NewJob) -> None:
    """Play no worker at all."""


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("GET", "/events"), ("GET", "/result"), ("GET", "/preview"), ("POST", "/cancel"), ("DELETE", "")],
)
@pytest.mark.parametrize("job_id", BAD_IDS, ids=lambda job_id: job_id[:40])
def test_job_when_the_id_is_unknown_or_bad_then_404_alike(edge: Edge, job_id: str, method: str, suffix: str) -> None:
    response = edge.client.request(method, f"/v1/jobs/{job_id}{suffix}")

    problem = response.json()
    assert (response.status_code, problem["code"]) == (404, "not_found")
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 1000


@pytest.mark.parametrize("path", ["{id}/", "{id}/result/", "{id}/other"])
def test_job_when_the_path_goes_on_then_404_and_no_redirect(edge: Edge, path: str) -> None:
    response = edge.client.get("/v1/jobs/" + path.format(id=submitted(edge)))

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_job_when_ended_well_then_object_and_picture_can_be_fetched(edge: Edge) -> None:
    job_id = submitted(edge)

    job = edge.client.get(f"/v1/jobs/{job_id}")
    picture = edge.client.get(job.json()["urls"]["result"])

    assert job.json()["status"] == "succeeded"
    assert job.json()["ended_at"] is not None
    assert "preference-applied" not in job.headers
    assert picture.content == edge.blobs.content[f"out/{job_id}.1"]
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["x-xmdpt-job-id"] == job_id
    assert picture.headers["server-timing"].endswith("total;dur=262")


@pytest.mark.parametrize("status", ["queued", "running"])
def test_result_when_the_job_has_not_ended_then_409_and_when_to_ask_again(edge: Edge, status: str) -> None:
    edge.intake.on_enqueue = leave_waiting
    job_id = submitted(edge)
    if status == "running":
        edge.intake.run(job_id, 3)

    response = edge.client.get(f"/v1/jobs/{job_id}/result")

    problem = response.json()
    assert (response.status_code, problem["code"], problem["retryable"]) == (409, "not_finished", True)
    assert int(response.headers["retry-after"]) >= 1
    assert status in problem["detail"]
    assert problem["job_id"] == job_id


def test_result_when_the_retention_is_over_then_410_and_the_object_stays(edge: Edge) -> None:
    job_id = submitted(edge)
    edge.intake.expire(job_id)

    response, job = edge.client.get(f"/v1/jobs/{job_id}/result"), edge.client.get(f"/v1/jobs/{job_id}").json()

    assert (response.status_code, response.json()["code"]) == (410, "expired")
    assert response.json()["retryable"] is False
    assert "retry-after" not in response.headers
    assert (job["status"], job["outputs"][0]["url"]) == ("succeeded", None)


def test_result_when_the_file_went_before_the_record_then_410(edge: Edge) -> None:
    job_id = submitted(edge)
    edge.blobs.delete_job(job_id)

    response = edge.client.get(f"/v1/jobs/{job_id}/result")

    assert (response.status_code, response.json()["code"]) == (410, "expired")


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("backend_error", 500, "backend_error"),
        ("input_lost", 500, "input_lost"),
        ("attempts_exhausted", 500, "attempts_exhausted"),
        ("resource_exhausted", 503, "resource_exhausted"),
        ("backend_unavailable", 503, "backend_unavailable"),
        ("backend_timeout", 504, "backend_timeout"),
        ("deadline_exceeded", 504, "deadline_exceeded"),
        ("a_code_of_another_version", 500, "internal_error"),
    ],
)
def test_result_when_the_job_failed_then_its_own_problem_and_the_object_has_it_too(
    edge: Edge, code: str, status: int, told: str
) -> None:
    edge.intake.on_enqueue = lambda job: edge.intake.fail(job.id, code)
    job_id = submitted(edge)

    result, job = edge.client.get(f"/v1/jobs/{job_id}/result"), edge.client.get(f"/v1/jobs/{job_id}")

    assert (result.status_code, result.json()["code"]) == (status, told)
    assert (job.status_code, job.json()["status"], job.json()["outputs"]) == (200, "failed", [])
    assert job.json()["error"]["code"] == told
    assert job.json()["error"]["job_id"] == result.json()["job_id"] == job_id
    assert result.json()["retryable"] == (status != 500)
    assert ("scripted failure" in result.text) == (told == code), "what is unknown keeps its detail to itself"


def test_preview_when_asked_for_then_the_newest_one_and_never_from_a_cache(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    job = edge.client.post("/v1/jobs", json=GOOD_BODY | {"preview": {"every_steps": 10}}).json()
    url = job["urls"]["preview"]

    none_yet = edge.client.get(url)
    edge.blobs.put_preview(job["id"], b"first")
    edge.blobs.put_preview(job["id"], b"second")
    newest = edge.client.get(url)

    assert url == f"/v1/jobs/{job['id']}/preview"
    assert (none_yet.status_code, none_yet.json()["code"]) == (404, "not_found")
    assert (newest.status_code, newest.content) == (200, b"second")
    assert (newest.headers["content-type"], newest.headers["cache-control"]) == ("image/jpeg", "no-store")


def test_job_when_an_attempt_is_to_be_repeated_then_the_object_says_when(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    job_id = submitted(edge)
    edge.intake.delay(job_id, 1_700_000_000.5)

    job = edge.client.get(f"/v1/jobs/{job_id}").json()

    assert (job["status"], job["queue"]["retry_at"]) == ("queued", "2023-11-14T22:13:20.500Z")


def test_job_when_it_ends_during_a_long_poll_then_the_poll_answers(edge: Edge) -> None:
    jobs: list[NewJob] = []
    edge.intake.on_enqueue = jobs.append
    job_id = submitted(edge)
    start = time.monotonic()
    end = threading.Timer(0.1, edge.work, jobs)
    end.start()

    response = edge.client.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=60"})

    end.join()
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")
    assert response.headers["preference-applied"] == "wait=60"
    assert time.monotonic() - start < 20


def test_job_when_a_long_poll_is_over_then_the_job_as_it_stands(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    job_id = submitted(edge)
    start = time.monotonic()

    response = edge.client.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=1"})

    assert time.monotonic() - start >= 1
    assert (response.status_code, response.json()["status"]) == (httpx.codes.OK, "queued")


def test_job_when_prefer_makes_no_sense_then_the_answer_is_immediate(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting

    response = edge.client.get(f"/v1/jobs/{submitted(edge)}", headers={"Prefer": "wait=1000"})

    assert (response.status_code, response.json()["status"]) == (200, "queued")
    assert "preference-applied" not in response.headers


def test_job_when_a_picture_is_gone_for_one_job_then_others_keep_theirs(edge: Edge) -> None:
    first, second = submitted(edge), submitted(edge)
    edge.blobs.delete_job(first)

    assert edge.client.get(f"/v1/jobs/{second}/result").status_code == httpx.codes.OK
