"""When the queue is full, away or silent, or the storage is down: a 503 in time, and a state that can be explained."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.gateway.patience import MAX_QUEUE_SECONDS
from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge

SUBMITS = ("/v1/generate", "/generate", "/v1/jobs")
# Scheduling of a busy test machine, on top of what the gateway promises.
SLACK_SECONDS = 8.0


def assert_problem(response: httpx.Response, code: str) -> None:
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["code"], problem["retryable"]) == (503, code, True)
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", SUBMITS)
def test_submit_when_the_queue_is_full_then_503_and_nothing_is_kept(edge: Edge, path: str) -> None:
    edge.intake.trouble = "full"

    response = edge.client.post(path, json=GOOD_BODY)

    assert_problem(response, "overloaded")
    assert edge.blobs.content == {}
    assert edge.intake.jobs == {}


@pytest.mark.parametrize("path", SUBMITS)
def test_submit_when_another_was_just_refused_then_503_before_its_body_is_read(
    edge: Edge, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.gateway.room._ASKING_SECONDS", 20.0)
    edge.intake.trouble = "full"
    edge.client.post(path, json=GOOD_BODY)

    assert_problem(edge.client.post(path, content=b"no JSON"), "overloaded")
    # It may repeat a call that was accepted.
    keyed = edge.client.post(path, content=b"no JSON", headers={"Idempotency-Key": "k"})
    assert keyed.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNSUPPORTED_MEDIA_TYPE)


@pytest.mark.parametrize("path", SUBMITS)
def test_submit_when_the_tenant_has_its_share_then_429_and_nothing_is_kept(edge: Edge, path: str) -> None:
    edge.intake.trouble = "quota"

    response = edge.client.post(path, json=GOOD_BODY)

    problem = response.json()
    assert (response.status_code, problem["code"], problem["retryable"]) == (429, "tenant_queue_full", True)
    assert int(response.headers["retry-after"]) >= 1
    assert (edge.intake.jobs, edge.blobs.content) == ({}, {})


@pytest.mark.parametrize("path", SUBMITS)
def test_submit_when_the_queue_is_away_then_503_and_the_pictures_wait_for_the_sweep(edge: Edge, path: str) -> None:
    edge.intake.trouble = "refuses"

    response = edge.client.post(path, json=GOOD_BODY)

    assert_problem(response, "queue_unavailable")
    # The queue may have accepted the job and only its answer was lost: its pictures must not go.
    assert [name[:7] for name in edge.blobs.content] == ["in/job_"]


def test_calls_when_the_queue_hangs_then_each_is_answered_in_time(edge: Edge) -> None:
    job_id = edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]
    edge.intake.trouble = "hangs"
    calls: list[tuple[str, str, float]] = [
        *(("POST", path, 0.0) for path in SUBMITS),
        ("GET", f"/v1/jobs/{job_id}", 0.0),
        ("GET", f"/v1/jobs/{job_id}", 1.0),
        ("GET", f"/v1/jobs/{job_id}/result", 0.0),
        ("GET", f"/v1/jobs/{job_id}/preview", 0.0),
        ("GET", f"/v1/jobs/{job_id}/events", 0.0),
        ("GET", "/v1/jobs", 0.0),
        ("DELETE", f"/v1/jobs/{job_id}", 0.0),
        ("GET", "/readyz", 0.0),
        ("GET", "/healthz", 0.0),
    ]

    def call(method: str, path: str, wait: float) -> tuple[httpx.Response, float]:
        start = time.monotonic()
        body = {"json": GOOD_BODY} if method == "POST" else {}
        prefer = {"Prefer": f"wait={wait:.0f}"} if wait else {}
        return edge.client.request(method, path, headers=prefer, **body), time.monotonic() - start - wait

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = list(pool.map(lambda arguments: call(*arguments), calls))

    for response, seconds in answers:
        assert_problem(response, "queue_unavailable")
        assert seconds < MAX_QUEUE_SECONDS + SLACK_SECONDS
    assert len([name for name in edge.blobs.content if name.startswith("in/")]) == 1 + len(SUBMITS)


def test_probes_when_the_queue_hangs_then_the_process_is_alive_and_its_metrics_can_be_read(edge: Edge) -> None:
    edge.intake.trouble = "hangs"
    errors = edge.gateway.metrics.redis_errors._value
    before, start = errors.get(), time.monotonic()

    assert edge.client.get("/livez").status_code == httpx.codes.OK
    assert edge.client.get("/v1/models").status_code == httpx.codes.OK
    assert edge.client.get("/metrics").status_code == httpx.codes.OK

    assert time.monotonic() - start < MAX_QUEUE_SECONDS + SLACK_SECONDS
    assert errors.get() == before + 1


@pytest.mark.parametrize("path", SUBMITS)
def test_submit_when_the_storage_is_down_then_503_and_nothing_is_queued(edge: Edge, path: str) -> None:
    edge.blobs.is_down = True

    response = edge.client.post(path, json=GOOD_BODY)

    assert_problem(response, "storage_unavailable")
    assert edge.intake.jobs == {}


def test_result_when_the_storage_is_down_then_503_but_the_object_can_be_read(edge: Edge) -> None:
    job_id = edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]
    edge.blobs.is_down = True

    assert_problem(edge.client.get(f"/v1/jobs/{job_id}/result"), "storage_unavailable")
    assert edge.client.get(f"/v1/jobs/{job_id}").json()["status"] == "succeeded"


def test_generate_when_the_storage_fails_after_the_job_then_503_names_the_job(edge: Edge) -> None:
    def work_then_fail(job) -> None:
        edge.work(job)
        edge.blobs.is_down = True

    edge.intake.on_enqueue = work_then_fail

    response = edge.client.post("/v1/generate", json=GOOD_BODY)

    (job_id,) = edge.intake.jobs
    assert_problem(response, "storage_unavailable")
    assert response.json()["job_id"] == job_id
    edge.blobs.is_down = False
    assert edge.client.get(f"/v1/jobs/{job_id}/result").status_code == httpx.codes.OK


@pytest.mark.parametrize("trouble", ["full", "refuses"])
def test_submit_when_the_trouble_is_over_then_the_next_call_succeeds(edge: Edge, trouble) -> None:
    edge.intake.trouble = trouble
    assert edge.client.post("/v1/generate", json=GOOD_BODY).status_code == 503
    edge.intake.trouble = "none"

    assert edge.client.post("/v1/generate", json=GOOD_BODY).status_code == httpx.codes.OK
