"""The list of jobs page by page, and erasing one in every state that it may be in."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.domain.job import DEFAULT_TENANT
from tests.api.bad_inputs import GOOD_BODY
from tests.fakes.queue_lab import PREFIX
from tests.fakes.real_queue import QueueEdge, queue_edge
from tests.fakes.redis_process import RedisProcess


@pytest.fixture
def edge(server: RedisProcess) -> Iterator[QueueEdge]:
    with queue_edge(server.url) as edge:
        yield edge


def page(edge: QueueEdge, **query: Any) -> dict[str, Any]:
    return edge.client.get("/v1/jobs", params=query).raise_for_status().json()


def ids(answer: dict[str, Any]) -> list[str]:
    return [job["id"] for job in answer["data"]]


def assert_absent(edge: QueueEdge, job_id: str) -> None:
    """For every call but DELETE."""
    url = f"/v1/jobs/{job_id}"
    calls = [("GET", ""), ("GET", "/result"), ("GET", "/preview"), ("GET", "/events"), ("POST", "/cancel")]
    answers = [edge.client.request(method, url + path).status_code for method, path in calls]
    answers.append(edge.client.get(url, headers={"Prefer": "wait=60"}).status_code)
    assert answers == [httpx.codes.NOT_FOUND] * len(answers)
    assert job_id not in ids(page(edge))


def test_list_when_there_is_no_job_then_it_is_empty(edge: QueueEdge) -> None:
    assert page(edge) == {"object": "list", "data": [], "next_cursor": None}


def test_list_when_jobs_come_and_go_then_pages_name_each_that_stayed_once(edge: QueueEdge) -> None:
    jobs = [edge.submit() for _ in range(7)]
    first = page(edge, limit=3)
    for gone in (jobs[4], jobs[2]):
        edge.client.delete(f"/v1/jobs/{gone}").raise_for_status()
    new = edge.submit()
    second = page(edge, limit=2, cursor=first["next_cursor"])
    third = page(edge, limit=2, cursor=second["next_cursor"])

    assert ids(first) == [jobs[6], jobs[5], jobs[4]]
    assert (ids(second), ids(third)) == ([jobs[3], jobs[1]], [jobs[0]])
    assert third["next_cursor"] is None
    assert ids(page(edge))[0] == new


def test_list_when_nothing_is_said_of_the_limit_then_twenty(edge: QueueEdge) -> None:
    jobs = [edge.submit() for _ in range(21)]

    assert ids(page(edge)) == jobs[:0:-1]
    assert ids(page(edge, limit=100)) == jobs[::-1]


def test_list_when_of_one_status_then_only_those_and_as_they_are_but_for_the_forecast(edge: QueueEdge) -> None:
    ended, running, queued = edge.submit(), edge.submit(), edge.submit()
    edge.succeed(edge.claim())
    edge.claim()

    found = {status: ids(page(edge, status=status)) for status in ("succeeded", "running", "queued", "failed")}

    assert found == {"succeeded": [ended], "running": [running], "queued": [queued], "failed": []}
    for job in page(edge)["data"]:
        assert job == edge.client.get(f"/v1/jobs/{job['id']}").json() | {"eta": None}


def test_list_when_there_are_several_tenants_then_each_has_its_own(edge: QueueEdge) -> None:
    own = edge.submit()
    other = edge.submit()
    for place in ("listed:{}", "ready:interactive:{}"):
        edge.redis.zrem(PREFIX + place.format(DEFAULT_TENANT), other)
    edge.redis.hset(f"{PREFIX}job:{other}", "tenant", "another")
    edge.redis.zadd(f"{PREFIX}listed:another", {other: 2})

    assert ids(page(edge)) == [own]
    for method, path in (("DELETE", ""), ("GET", "/events")):
        assert edge.client.request(method, f"/v1/jobs/{other}{path}").status_code == httpx.codes.NOT_FOUND


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=101", ["/limit"]),
        ("limit=-1", ["/limit"]),
        ("limit=1.0", ["/limit"]),
        ("limit=", ["/limit"]),
        ("limit=2&limit=3", ["/limit"]),
        ("limit=%D9%A1", ["/limit"]),
        ("status=done", ["/status"]),
        ("status=", ["/status"]),
        ("status=QUEUED", ["/status"]),
        ("cursor=", ["/cursor"]),
        ("cursor=1", ["/cursor"]),
        ("cursor=YmVmb3JlIDA", ["/cursor"]),
        ("cursor=%FF%00", ["/cursor"]),
        ("cursor=" + "A" * 5000, ["/cursor"]),
        ("page=2", ["/page"]),
        ("a~b/c=2", ["/a~0b~1c"]),
        ("status=done&limit=0&cursor=1", ["/status", "/cursor", "/limit"]),
    ],
)
def test_list_when_the_query_is_wrong_then_422_points_to_it(edge: QueueEdge, query: str, pointers: list[str]) -> None:
    response = edge.client.get(f"/v1/jobs?{query}")

    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "validation")
    assert [issue["pointer"] for issue in problem["errors"]] == pointers
    assert len(response.content) < 1000


def test_erase_when_the_job_has_ended_then_nothing_is_left_of_it(edge: QueueEdge) -> None:
    key = {"Idempotency-Key": "k"}
    job_id = edge.client.post("/v1/jobs", json=GOOD_BODY, headers=key).json()["id"]
    edge.succeed(edge.claim())
    edge.blobs.put_preview(job_id, b"preview")

    response = edge.client.delete(f"/v1/jobs/{job_id}")

    assert (response.status_code, response.content) == (204, b"")
    assert edge.blobs.content == {}
    assert edge.client.delete(f"/v1/jobs/{job_id}").status_code == httpx.codes.NOT_FOUND
    assert_absent(edge, job_id)
    again = edge.client.post("/v1/jobs", json=GOOD_BODY, headers=key)
    assert "idempotency-replayed" not in again.headers
    assert again.json()["id"] != job_id


def test_erase_when_the_storage_is_down_then_it_is_erased_and_upkeep_is_told_to_delete(edge: QueueEdge) -> None:
    job_id = edge.submit()
    edge.succeed(edge.claim())
    edge.blobs.is_down = True

    response = edge.client.delete(f"/v1/jobs/{job_id}")

    edge.blobs.is_down = False
    assert response.status_code == httpx.codes.NO_CONTENT
    assert edge.reap() == [job_id]
    assert_absent(edge, job_id)


def test_erase_when_the_job_waits_then_202_and_upkeep_does_the_rest(edge: QueueEdge) -> None:
    job_id = edge.submit()

    response = edge.client.delete(f"/v1/jobs/{job_id}")

    assert response.status_code == httpx.codes.ACCEPTED
    assert int(response.headers["retry-after"]) >= 1
    assert_absent(edge, job_id)
    assert edge.leases.claim(8, 0) == ()
    assert edge.reap() == [job_id]
    assert edge.client.delete(f"/v1/jobs/{job_id}").status_code == httpx.codes.NOT_FOUND
    assert not edge.redis.exists(f"{PREFIX}job:{job_id}", f"{PREFIX}history:{job_id}")


def test_erase_when_the_job_runs_then_it_is_gone_for_everybody_but_its_worker(edge: QueueEdge) -> None:
    job_id = edge.submit()
    job = edge.claim()

    answers = [edge.client.delete(f"/v1/jobs/{job_id}").status_code for _ in range(2)]

    assert answers == [httpx.codes.ACCEPTED] * 2
    assert_absent(edge, job_id)
    assert edge.reap() == []
    edge.blobs.put_output(job.id, job.fence, b"picture")
    assert edge.leases.end_cancelled(job.id, job.fence) == "cancelled"
    assert edge.reap() == [job_id]
    assert edge.client.delete(f"/v1/jobs/{job_id}").status_code == httpx.codes.NOT_FOUND


def test_erase_when_a_key_names_a_job_that_is_being_erased_then_404(edge: QueueEdge) -> None:
    key = {"Idempotency-Key": "k"}
    job_id = edge.client.post("/v1/jobs", json=GOOD_BODY, headers=key).json()["id"]
    edge.claim()
    edge.client.delete(f"/v1/jobs/{job_id}").raise_for_status()

    assert edge.client.post("/v1/jobs", json=GOOD_BODY, headers=key).status_code == httpx.codes.NOT_FOUND
