"""How long a call waits: `Prefer` on generate, never on POST /v1/jobs, and what an accepted job's answer says."""

import time
from datetime import UTC, datetime

import httpx
import pytest

from service.domain.job import NewJob
from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge


def leave_waiting(job: NewJob) -> None:
    """Play no worker at all."""


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("respond-async", "respond-async"),
        ("Respond-Async", "respond-async"),
        ("wait=0", "wait=0"),
        ("respond-async, wait=0", "wait=0"),
        ("wait=61, respond-async", "respond-async"),
    ],
)
def test_generate_when_asked_not_to_wait_then_202_says_where_to_look(edge: Edge, prefer: str, applied: str) -> None:
    edge.intake.on_enqueue = leave_waiting

    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"Prefer": prefer})

    (job_id,) = edge.intake.jobs
    assert response.status_code == httpx.codes.ACCEPTED
    assert response.headers["location"] == f"/v1/jobs/{job_id}"
    assert response.headers["link"] == f'</v1/jobs/{job_id}>; rel="monitor"'
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["preference-applied"] == applied
    assert response.headers["content-type"] == "application/json"


def test_generate_when_accepted_then_the_job_object_is_that_of_a_queued_job(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting

    job = edge.client.post("/generate", json=GOOD_BODY, headers={"Prefer": "respond-async"}).json()

    created = datetime.fromisoformat(job.pop("created_at"))
    deadline = datetime.fromisoformat(job.pop("deadline_at"))
    (job_id,) = edge.intake.jobs
    assert (deadline - created).total_seconds() == 86_400
    assert created.tzinfo == UTC
    assert abs(created.timestamp() - time.time()) < 60
    assert job == {
        "id": job_id,
        "object": "job",
        "status": "queued",
        "batch_id": None,
        "custom_id": None,
        "started_at": None,
        "ended_at": None,
        "expires_at": None,
        "queue": {"position": 0, "priority": "interactive", "retry_at": None},
        "progress": {"stage": None, "step": 0, "steps": 50, "ratio": 0.0},
        "eta": None,
        "attempt": 0,
        "request": {
            "model": "tiny",
            "seed": 1,
            "num_images": 1,
            "preset": "exact",
            "steps": 50,
            "guidance": 2.0,
            "sampler": "ddim",
            "format": "png",
            "pose": None,
        },
        "outputs": [],
        "cache": None,
        "timings_ms": {},
        "engine": None,
        "error": None,
        "metadata": {},
        "urls": {
            "self": f"/v1/jobs/{job_id}",
            "events": f"/v1/jobs/{job_id}/events",
            "result": f"/v1/jobs/{job_id}/result",
            "preview": None,
            "cancel": f"/v1/jobs/{job_id}/cancel",
        },
    }


def test_generate_when_the_wait_is_over_then_202_with_the_job_as_it_stands(edge: Edge) -> None:
    edge.intake.on_enqueue = lambda job: edge.intake.run(job.id, 18)
    start = time.monotonic()

    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"Prefer": "wait=1"})

    job = response.json()
    assert time.monotonic() - start >= 1
    assert (response.status_code, response.headers["preference-applied"]) == (202, "wait=1")
    assert (job["status"], job["attempt"]) == ("running", 1)
    assert job["progress"] == {"stage": "tdnet_step", "step": 18, "steps": 50, "ratio": 0.36}


@pytest.mark.parametrize(
    "prefer", ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=61", "wait=soon", "return=minimal"]
)
def test_generate_when_prefer_makes_no_sense_then_the_default_is_applied(edge: Edge, prefer: str) -> None:
    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"Prefer": prefer})

    assert (response.status_code, response.headers["preference-applied"]) == (200, "wait=5")


def test_generate_when_prefer_stands_in_two_lines_then_both_are_read(edge: Edge) -> None:
    headers = httpx.Headers([("Prefer", "return=minimal"), ("Prefer", "wait=60")])

    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers=headers)

    assert (response.status_code, response.headers["preference-applied"]) == (200, "wait=60")


def test_create_job_when_the_job_ends_at_once_then_the_answer_is_202_all_the_same(edge: Edge) -> None:
    response = edge.client.post("/v1/jobs", json=GOOD_BODY, headers={"Prefer": "wait=60"})

    (job_id,) = edge.intake.jobs
    assert (response.status_code, response.json()["id"]) == (202, job_id)
    assert response.headers["location"] == f"/v1/jobs/{job_id}"
    assert response.headers["link"] == f'</v1/jobs/{job_id}>; rel="monitor"'
    assert int(response.headers["retry-after"]) >= 1
    assert "preference-applied" not in response.headers


def test_create_job_when_no_worker_is_there_then_it_does_not_wait(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    start = time.monotonic()

    response = edge.client.post("/v1/jobs", json=GOOD_BODY)

    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert time.monotonic() - start < 5, "the default wait"


def test_create_job_when_accept_names_a_format_then_png_is_made_as_nothing_else_was_asked(edge: Edge) -> None:
    edge.client.post("/v1/jobs", json=GOOD_BODY, headers={"Accept": "image/webp"})
    edge.client.post("/v1/jobs", json=GOOD_BODY | {"output": {"format": "webp"}}, headers={"Accept": "text/html"})

    assert [job.request.output.format for job in edge.intake.jobs.values()] == ["png", "webp"]
