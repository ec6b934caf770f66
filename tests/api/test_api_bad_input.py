"""Every unusable request is refused by name, costs little, and leaves nothing behind."""

import time

import httpx
import pytest

from tests.api.bad_inputs import ALL, GOOD_BODY, BadInput
from tests.api.conftest import Edge


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_generate_when_input_is_bad_then_problem_names_it_and_nothing_is_kept(edge: Edge, case: BadInput) -> None:
    start = time.process_time()
    response = edge.client.post("/v1/generate", content=case.content, headers=case.headers)
    cpu_seconds = time.process_time() - start

    problem = response.json()
    assert (response.status_code, problem["code"]) == (case.status, case.code), response.text
    assert problem["status"] == case.status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["instance"] == response.headers["x-request-id"]
    pointers = [issue["pointer"] for issue in problem.get("errors", [])]
    assert case.pointer in (pointers or [None])
    assert len(response.content) < 5000
    assert edge.intake.jobs == {}
    assert edge.blobs.content == {}
    assert edge.gateway.metrics.input_rejected.labels(case.code)._value.get() >= 1
    # Client and server share this process; 2 s is the bound of the corpus, the worst case takes a tenth of it.
    assert cpu_seconds < 2
    assert edge.client.post("/v1/generate", json=GOOD_BODY).status_code == httpx.codes.OK
