"""When a job will have ended, as its object and `Retry-After` tell it; the arithmetic is tested with the cost model."""

import math
import time
from datetime import datetime

import pytest

from service.domain.job import NewJob
from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge
from tests.fakes.fake_intake import a_worker_report

# Long enough that no rounding hides it.
STEP_SECONDS = 2.0


def leave_waiting(job: NewJob) -> None:
    """Play no worker at all."""


@pytest.fixture(autouse=True)
def _a_worker_that_leaves_jobs_waiting(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    edge.intake.workers.append(a_worker_report(STEP_SECONDS))


def test_job_when_queued_then_its_eta_is_that_of_all_before_it_and_retry_after_says_so(edge: Edge) -> None:
    first = edge.client.post("/v1/jobs", json=GOOD_BODY)
    second = edge.client.post("/v1/jobs", json=GOOD_BODY)

    etas = [response.json()["eta"] for response in (first, second)]
    assert etas[1]["p50_ms"] > etas[0]["p50_ms"] > 0
    assert all(eta["p90_ms"] >= eta["p50_ms"] for eta in etas)
    assert all(abs(datetime.fromisoformat(eta["as_of"]).timestamp() - time.time()) < 60 for eta in etas)
    for response, eta in zip((first, second), etas, strict=True):
        assert int(response.headers["retry-after"]) == math.ceil(eta["p50_ms"] / 1000)


def test_job_when_it_goes_on_then_its_eta_comes_nearer_and_goes_with_its_end(edge: Edge) -> None:
    job_id = edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]
    edge.blobs.put_output(job_id, 1, b"picture")

    def eta() -> dict | None:
        return edge.client.get(f"/v1/jobs/{job_id}").json()["eta"]

    etas = [eta()]
    for step in (10, 40):
        edge.intake.run(job_id, step)
        etas.append(eta())
    edge.intake.succeed(job_id, b"picture")

    seconds = [found["p50_ms"] / 1000 for found in etas if found]
    assert seconds[0] > seconds[1] > seconds[2] > 0
    assert seconds[1] - seconds[2] == pytest.approx(30 * STEP_SECONDS, rel=0.01)
    assert eta() is None


def test_result_when_the_job_has_not_ended_then_retry_after_is_its_forecast(edge: Edge) -> None:
    job = edge.client.post("/v1/jobs", json=GOOD_BODY).json()

    response = edge.client.get(job["urls"]["result"])

    assert response.json()["code"] == "not_finished"
    assert int(response.headers["retry-after"]) == math.ceil(job["eta"]["p50_ms"] / 1000)


def test_job_when_no_worker_is_calibrated_then_null_and_to_be_asked_in_a_second(edge: Edge) -> None:
    edge.intake.workers.clear()

    response = edge.client.post("/v1/jobs", json=GOOD_BODY)

    assert response.json()["eta"] is None
    assert response.headers["retry-after"] == "1"
    assert edge.intake.accepted[0].forecast_seconds == 0


@pytest.mark.parametrize(("trouble", "status"), [("full", 503), ("quota", 429)])
def test_submit_when_refused_then_retry_after_grows_with_the_work_that_waits(edge: Edge, trouble, status: int) -> None:
    waits = []
    for _ in range(2):
        edge.client.post("/v1/jobs", json=GOOD_BODY)
        edge.intake.trouble = trouble
        response = edge.client.post("/v1/jobs", json=GOOD_BODY)
        edge.intake.trouble = "none"
        assert response.status_code == status
        waits.append(int(response.headers["retry-after"]))

    assert waits[1] >= waits[0] >= 1


def test_generate_when_its_job_ends_then_the_error_of_the_forecast_is_known(edge: Edge) -> None:
    error = edge.gateway.metrics.eta_error._sum
    before = error.get()
    edge.intake.on_enqueue = edge.work

    edge.client.post("/v1/generate", json=GOOD_BODY)

    (job,) = edge.intake.accepted
    # It was done at once, and the forecast counted its steps.
    assert job.forecast_seconds >= 50 * STEP_SECONDS
    assert error.get() - before == pytest.approx(job.forecast_seconds, rel=0.9)
