"""A call that is repeated under one key: the first one's job and answer, or a refusal that keeps nothing."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.domain.job import NewJob
from tests.api.bad_inputs import GOOD_BODY, JSON_POSE, SOURCE, as_form, part
from tests.api.conftest import Edge

KEY = {"Idempotency-Key": "order-17"}
SUBMITS = ("/v1/generate", "/generate", "/v1/jobs")


def leave_waiting(job: NewJob) -> None:
    """Play no worker at all."""


def the_job(edge: Edge) -> str:
    (job_id,) = edge.intake.jobs
    return job_id


def test_generate_when_repeated_then_the_same_picture_and_one_job(edge: Edge) -> None:
    first = edge.client.post("/v1/generate", json=GOOD_BODY, headers=KEY)
    blobs = dict(edge.blobs.content)

    again = edge.client.post("/v1/generate", json=GOOD_BODY, headers=KEY)

    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["x-xmdpt-job-id"] == the_job(edge)
    assert edge.blobs.content == blobs, "the pictures of the repeat are gone"


@pytest.mark.parametrize("path", SUBMITS)
def test_submit_when_repeated_while_the_job_runs_then_202_with_that_job(edge: Edge, path: str) -> None:
    edge.intake.on_enqueue = leave_waiting
    headers = KEY | {"Prefer": "respond-async"}
    first = edge.client.post("/v1/jobs", json=GOOD_BODY, headers=headers)
    edge.intake.run(the_job(edge), 3)

    again = edge.client.post(path, json=GOOD_BODY, headers=headers)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "running")


def test_generate_when_the_repeated_job_has_failed_then_its_problem_is_a_replay_too(edge: Edge) -> None:
    edge.intake.on_enqueue = lambda job: edge.intake.fail(job.id, "backend_error")
    first = edge.client.post("/v1/generate", json=GOOD_BODY, headers=KEY)

    again = edge.client.post("/v1/generate", json=GOOD_BODY, headers=KEY)

    assert (first.status_code, again.status_code) == (500, 500)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["job_id"] == the_job(edge)


def test_submit_when_the_same_is_said_in_other_words_then_it_is_a_repeat(edge: Edge) -> None:
    explicit = GOOD_BODY | {"steps": 50, "guidance": 2, "priority": "interactive", "deadline_ms": 86_400_000}
    form = as_form(SOURCE, JSON_POSE, part("seed", b"1", is_file=False))
    edge.client.post("/v1/jobs", json=GOOD_BODY, headers=KEY)

    answers = [
        edge.client.post("/v1/jobs", json=explicit | {"model": "tiny", "output": {"format": "png"}}, headers=KEY),
        edge.client.post("/v1/generate", content=form["content"], headers=form["headers"] | KEY),
        edge.client.post("/v1/generate", json=GOOD_BODY, headers=KEY | {"Accept": "image/png", "Prefer": "wait=0"}),
    ]

    assert [answer.headers.get("idempotency-replayed") for answer in answers] == ["true"] * 3
    assert the_job(edge)


def test_submit_when_no_seed_is_given_then_the_repeat_has_the_seed_that_was_drawn(edge: Edge) -> None:
    body = {name: value for name, value in GOOD_BODY.items() if name != "seed"}

    seeds = [edge.client.post("/v1/generate", json=body, headers=KEY).headers["x-xmdpt-seed"] for _ in range(2)]

    assert seeds[0] == seeds[1]
    assert the_job(edge)


@pytest.mark.parametrize("path", SUBMITS)
def test_submit_when_the_key_belongs_to_another_request_then_422_and_nothing_is_kept(edge: Edge, path: str) -> None:
    edge.client.post("/v1/jobs", json=GOOD_BODY, headers=KEY)
    blobs = dict(edge.blobs.content)

    response = edge.client.post(path, json=GOOD_BODY | {"steps": 49}, headers=KEY)

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_mismatch")
    assert "idempotency-replayed" not in response.headers
    assert the_job(edge)
    assert edge.blobs.content == blobs


def test_generate_when_accept_chooses_another_format_then_it_is_another_request(edge: Edge) -> None:
    edge.client.post("/v1/generate", json=GOOD_BODY, headers=KEY)

    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers=KEY | {"Accept": "image/webp"})

    assert response.json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize("trouble", ["full", "quota"])
def test_submit_when_the_first_call_was_refused_then_its_key_is_free(edge: Edge, trouble) -> None:
    edge.intake.trouble = trouble
    assert edge.client.post("/v1/jobs", json=GOOD_BODY, headers=KEY).status_code in (429, 503)
    edge.intake.trouble = "none"

    response = edge.client.post("/v1/jobs", json=GOOD_BODY | {"steps": 49}, headers=KEY)

    assert response.status_code == httpx.codes.ACCEPTED
    assert "idempotency-replayed" not in response.headers


def test_submit_when_sixteen_come_at_once_under_one_key_then_one_job_and_its_pictures(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(edge.client.post, "/v1/jobs", json=GOOD_BODY, headers=KEY) for _ in range(16)]
        answers = [call.result() for call in calls]

    assert {answer.json()["id"] for answer in answers} == {the_job(edge)}
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 15
    assert list(edge.blobs.content) == [f"in/{the_job(edge)}"]


@pytest.mark.parametrize("path", SUBMITS)
@pytest.mark.parametrize(
    "lines",
    [[""], ["a b"], ["a\tb"], [b"\xc3\xa9"], ["x" * 256], ["one", "two"]],
    ids=["empty", "space", "tab", "not ascii", "256", "two lines"],
)
def test_submit_when_the_key_has_a_bad_form_then_400_and_nothing_is_kept(edge: Edge, path: str, lines) -> None:
    response = edge.client.post(path, json=GOOD_BODY, headers=httpx.Headers([(b"Idempotency-Key", k) for k in lines]))

    problem = response.json()
    assert (response.status_code, problem["code"]) == (400, "bad_header")
    assert "Idempotency-Key" in problem["detail"]
    assert (edge.intake.jobs, edge.blobs.content) == ({}, {})


@pytest.mark.parametrize("key", ["!", "~", '"quoted"', "x" * 255])
def test_submit_when_the_key_has_its_outermost_forms_then_it_is_taken(edge: Edge, key: str) -> None:
    edge.client.post("/v1/jobs", json=GOOD_BODY, headers={"Idempotency-Key": key})

    (job,) = edge.intake.accepted
    assert job.idempotency
    assert job.idempotency.key == key
