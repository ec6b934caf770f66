"""GET /v1/status before anything has happened, with work in every state, and where the queue is silent."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import Edge
from tests.fakes.fake_intake import a_worker_report
from tests.fakes.queue_lab import PREFIX
from tests.fakes.real_queue import QueueEdge, queue_edge
from tests.fakes.redis_process import RedisProcess


@pytest.fixture
def queue(server: RedisProcess) -> Iterator[QueueEdge]:
    with queue_edge(server.url) as edge:
        yield edge


def status(edge: QueueEdge | Edge) -> dict:
    return edge.client.get("/v1/status").raise_for_status().json()


def test_status_when_nothing_has_happened_then_it_says_so(queue: QueueEdge) -> None:
    found = status(queue)

    assert found.pop("as_of").endswith("Z")
    assert found == {
        "object": "status",
        "queue": {
            "queued": 0,
            "running": 0,
            "oldest_wait_ms": 0,
            "queued_row_steps": {"interactive": 0, "batch": 0},
        },
        "workers": [],
        "slots": 0,
        "occupancy": 0.0,
        "latencies": {},
    }


def test_status_when_jobs_wait_run_and_have_ended_then_each_is_counted(queue: QueueEdge) -> None:
    for _ in range(3):
        queue.submit(steps=10)
    queue.submit(steps=7, priority="batch")
    queue.succeed(queue.claim())
    queue.claim()
    found = status(queue)

    assert (found["queue"]["queued"], found["queue"]["running"]) == (2, 1)
    assert found["queue"]["queued_row_steps"] == {"interactive": 10, "batch": 7}
    assert list(found["latencies"]) == ["interactive"]
    told = found["latencies"]["interactive"]
    assert told["jobs"] == len(told["recent_ms"]) == 1
    assert told["p50_ms"] == told["p95_ms"] == told["recent_ms"][0] >= 0


def test_status_when_many_have_ended_then_the_newest_two_hundred_are_told(queue: QueueEdge) -> None:
    queue.redis.rpush(f"{PREFIX}latencies", *(f"batch {ms}" for ms in range(1, 201)))
    queue.submit(priority="batch")
    queue.succeed(queue.claim())
    told = status(queue)["latencies"]["batch"]

    assert (told["jobs"], told["recent_ms"][:2]) == (200, [2, 3])
    assert 90 < told["p50_ms"] < 110
    assert 180 < told["p95_ms"] < 200


def test_status_when_workers_live_then_their_slots_are_told(edge: Edge) -> None:
    report = a_worker_report()
    edge.intake.workers = [report, report]
    found = status(edge)

    assert found["slots"] == 2 * report.capacity.num_slots
    assert found["workers"][0]["runtime"] == report.runtime
    assert found["workers"][0]["step_ms"] > 0


def test_status_when_the_queue_is_silent_then_503(edge: Edge) -> None:
    edge.intake.trouble = "refuses"
    answer = edge.client.get("/v1/status")

    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "queue_unavailable")
