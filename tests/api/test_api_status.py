"""GET /v1/status before anything has happened, with work in every state, and where the queue is silent."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from service.api.views import moment
from service.domain.capacity import Activity
from service.ports.archive import MAX_LATENCIES
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
        "in_flight": 0,
        "batch_occupancy": None,
        "pictures_per_minute": 0.0,
        "eta": None,
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
    assert len(told["recent_ended_at"]) == 1
    assert found["pictures_per_minute"] == 1


def test_status_when_a_job_made_several_pictures_then_each_counts(queue: QueueEdge) -> None:
    queue.submit(num_images=3)
    queue.succeed(queue.claim())

    assert status(queue)["pictures_per_minute"] == 3


def test_status_when_many_have_ended_then_the_newest_two_hundred_are_told(queue: QueueEdge) -> None:
    seconds, _ = queue.redis.time()
    ended_ms = 1000 * (seconds - 3600)
    queue.redis.rpush(f"{PREFIX}latencies", *(f"batch {ms} {ended_ms} 1" for ms in range(1, MAX_LATENCIES + 1)))
    queue.submit(priority="batch")
    queue.succeed(queue.claim())
    told = status(queue)["latencies"]["batch"]

    assert (told["jobs"], told["recent_ms"][:2]) == (MAX_LATENCIES, [2, 3])
    assert len(told["recent_ended_at"]) == MAX_LATENCIES
    assert told["recent_ended_at"][0] == moment(ended_ms / 1000) < told["recent_ended_at"][-1]
    assert 90 < told["p50_ms"] < 110
    assert 180 < told["p95_ms"] < 200


def test_status_when_an_earlier_version_has_noted_latencies_then_they_are_left_out(queue: QueueEdge) -> None:
    queue.redis.rpush(f"{PREFIX}latencies", "batch 5")

    assert status(queue)["latencies"] == {}


def test_status_when_workers_live_then_their_slots_are_told(edge: Edge) -> None:
    report = replace(a_worker_report(), activity=Activity(1, 0.75, 12))
    edge.intake.workers = [report, report]
    found = status(edge)
    worker = found["workers"][0]

    assert found["slots"] == 2 * report.capacity.num_slots
    assert worker["runtime"] == report.runtime
    assert worker["step_ms"] > 0
    assert [worker[field] for field in ("name", "in_flight", "rows_per_step", "pictures")] == ["worker", 1, 0.75, 12]
    assert (found["in_flight"], found["batch_occupancy"]) == (2, 0.75)
    assert 0 < found["eta"]["p50_ms"] <= found["eta"]["p90_ms"]


def test_status_when_a_worker_is_idle_then_it_has_no_rows(edge: Edge) -> None:
    edge.intake.workers = [a_worker_report()]
    found = status(edge)

    assert (found["in_flight"], found["batch_occupancy"], found["workers"][0]["rows_per_step"]) == (0, None, None)


def test_status_when_the_queue_is_silent_then_503(edge: Edge) -> None:
    edge.intake.trouble = "refuses"
    answer = edge.client.get("/v1/status")

    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "queue_unavailable")
