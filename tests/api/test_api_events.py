"""Following a job: what is told at once, what as it happens, where a connection goes on, and how it ends."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.api.test_api_cancel import until
from tests.fakes.event_stream import Event, Stream
from tests.fakes.real_queue import QueueEdge, queue_edge
from tests.fakes.redis_process import RedisProcess

NUM_CLIENTS = 16


@pytest.fixture
def edge(server: RedisProcess) -> Iterator[QueueEdge]:
    with queue_edge(server.url) as edge:
        yield edge


@contextmanager
def followed(edge: QueueEdge, job_id: str, last: int | str | None = None) -> Iterator[Stream]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with edge.client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == httpx.codes.OK, response.read()
        yield Stream(response)


def get(edge: QueueEdge, job_id: str, last: int | str | None = None) -> httpx.Response:
    """Of a stream that is no stream, or that has come to its end."""
    return edge.client.get(f"/v1/jobs/{job_id}/events", headers={} if last is None else {"Last-Event-ID": str(last)})


def shape(events: list[Event]) -> list[tuple[str, int | None, str]]:
    return [(event.kind, event.number, event.data["status"]) for event in events]


def num_streams(edge: QueueEdge) -> float:
    return edge.gateway.metrics.sse_clients._value.get()


def test_events_when_a_job_lives_then_each_change_and_the_end_are_told_and_the_server_closes(edge: QueueEdge) -> None:
    job_id = edge.submit()
    with followed(edge, job_id) as stream:
        headers, first = stream.response.headers, stream.next()
        job = edge.claim()
        second = stream.next()
        edge.succeed(job)
        rest = stream.rest()

    assert shape([first, second, *rest]) == [
        ("status", 1, "queued"),
        ("status", 2, "running"),
        ("end", 3, "succeeded"),
    ]
    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
    assert stream.other == ["retry: 2000"]
    read = edge.client.get(f"/v1/jobs/{job_id}").json()
    assert rest[0].data == read, "the whole job object"
    assert read["urls"]["events"] == f"/v1/jobs/{job_id}/events"


def test_events_when_a_worker_tells_of_its_steps_then_progress_without_an_id(edge: QueueEdge) -> None:
    job_id = edge.submit(steps=50)
    job = edge.claim()
    with followed(edge, job_id) as stream:
        first = stream.next()
        edge.step(job, 18)
        progress = stream.next()

    assert shape([first]) == [("status", 2, "running")]
    assert (progress.kind, progress.number) == ("progress", None)
    assert progress.data == {"stage": "tdnet_step", "step": 18, "steps": 50, "ratio": 0.36, "eta": None}


def test_events_when_previews_were_asked_for_then_each_new_one_is_told_once(edge: QueueEdge) -> None:
    job_id = edge.submit(steps=50, preview={"every_steps": 10})
    job = edge.claim()
    with followed(edge, job_id) as stream:
        stream.next()
        edge.step(job, 11)
        between = [stream.next()]
        for step in (12, 13, 14):
            edge.blobs.put_preview(job_id, b"first")
            edge.step(job, step)
            while between[-1].kind != "progress" or between[-1].data["step"] != step:
                between.append(stream.next())
        edge.blobs.put_preview(job_id, b"second")
        edge.step(job, 25)
        second = stream.next_of("preview")

    (first,) = [event for event in between if event.kind == "preview"]
    assert (first.number, first.data) == (None, {"step": 10, "url": f"/v1/jobs/{job_id}/preview"})
    assert second.data["step"] in (10, 20), "of the worker's last report"


def test_events_when_nobody_asked_for_previews_then_none_is_told(edge: QueueEdge) -> None:
    job_id = edge.submit()
    job = edge.claim()
    edge.blobs.put_preview(job_id, b"nobody's")
    with followed(edge, job_id) as stream:
        edge.step(job, 3)
        edge.succeed(job)
        kinds = {event.kind for event in stream.rest()}

    assert kinds <= {"status", "progress", "end"}


def test_events_when_a_client_comes_back_then_it_gets_what_it_missed_as_it_was_then(edge: QueueEdge) -> None:
    job_id = edge.submit()
    edge.leases.release(job_id, edge.claim().fence)
    job = edge.claim()
    edge.succeed(job)

    with followed(edge, job_id, 1) as stream:
        missed = stream.rest()
    with followed(edge, job_id, 4) as stream:
        last = stream.rest()

    assert shape(missed) == [
        ("status", 2, "running"),
        ("status", 3, "queued"),
        ("status", 4, "running"),
        ("end", 5, "succeeded"),
    ]
    assert [event.data["attempt"] for event in missed] == [1, 0, 1, 1]
    assert [bool(event.data["outputs"]) for event in missed] == [False, False, False, True]
    assert [event.data["ended_at"] is None for event in missed] == [True, True, True, False]
    assert shape(last) == [("end", 5, "succeeded")]


@pytest.mark.parametrize(("last", "number"), [(0, 1), (1, 1), (9, 1)])
def test_events_when_a_client_comes_back_and_nothing_is_new_then_the_job_as_it_stands(
    edge: QueueEdge, last: int, number: int
) -> None:
    job_id = edge.submit()
    with followed(edge, job_id, last) as stream:
        first = stream.next()
        edge.claim()
        second = stream.next()

    assert shape([first, second]) == [("status", number, "queued"), ("status", 2, "running")]


def test_events_when_the_job_has_ended_then_its_last_status_and_the_end(edge: QueueEdge) -> None:
    job_id = edge.submit()
    edge.succeed(edge.claim())

    with followed(edge, job_id) as stream:
        events = stream.rest()

    assert shape(events) == [("status", 2, "running"), ("end", 3, "succeeded")]


@pytest.mark.parametrize("last", [3, 4, 10**17])
def test_events_when_the_end_has_been_seen_then_204(edge: QueueEdge, last: int) -> None:
    job_id = edge.submit()
    edge.succeed(edge.claim())

    response = get(edge, job_id, last)

    assert (response.status_code, response.content) == (204, b"")
    assert num_streams(edge) == 0


@pytest.mark.parametrize("last", ["", "-1", "1.5", "one", "1 2", "9" * 19, "%31", "\u0661".encode().decode("latin-1")])
def test_events_when_the_last_id_is_no_number_then_400_names_the_header(edge: QueueEdge, last: str) -> None:
    job_id = edge.submit()

    headers = {"Last-Event-ID": last.encode("latin-1")}
    response = edge.client.get(f"/v1/jobs/{job_id}/events", headers=headers)  # pyright: ignore

    assert (response.status_code, response.json()["code"]) == (400, "bad_header")
    assert "Last-Event-ID" in response.json()["detail"]


def test_events_when_the_job_is_unknown_then_404(edge: QueueEdge) -> None:
    response = get(edge, "job_" + "0" * 32)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert num_streams(edge) == 0


def test_events_when_a_client_hangs_up_then_its_stream_ends_and_the_job_goes_on(edge: QueueEdge) -> None:
    job_id = edge.submit()
    with followed(edge, job_id) as stream:
        stream.next()
        assert num_streams(edge) == 1

    until(lambda: num_streams(edge) == 0)
    assert edge.client.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"


def test_events_when_many_follow_then_one_connection_waits_for_them_all(edge: QueueEdge) -> None:
    job_id = edge.submit()
    clients = [socket.create_connection(edge.gateway.address, 20) for _ in range(NUM_CLIENTS)]
    for client in clients:
        client.sendall(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    until(lambda: num_streams(edge) == NUM_CLIENTS)

    def num_listening() -> int:
        return sum(client["sub"] != "0" for client in edge.redis.client_list("pubsub"))

    until(lambda: num_listening() == 1)
    edge.succeed(edge.claim())
    for client in clients:
        with client, client.makefile("rb") as answer:
            assert answer.read().count(b"event: end\n") == 1
    assert num_listening() == 1


def test_events_when_too_many_follow_then_503_until_one_leaves(server: RedisProcess) -> None:
    with queue_edge(server.url, max_event_streams=1) as edge:
        job_id = edge.submit()
        with followed(edge, job_id):
            refused = get(edge, job_id)
        until(lambda: num_streams(edge) == 0)
        with followed(edge, job_id) as stream:
            assert stream.next().kind == "status"

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1


def test_events_when_the_job_is_erased_then_the_stream_ends_without_an_end(edge: QueueEdge) -> None:
    job_id = edge.submit()
    with followed(edge, job_id) as stream:
        stream.next()
        edge.client.delete(f"/v1/jobs/{job_id}").raise_for_status()

        assert stream.rest() == []


def test_events_when_the_gateway_stops_then_streams_end_and_go_on_elsewhere(server: RedisProcess) -> None:
    with queue_edge(server.url) as edge:
        job_id = edge.submit()
        connection = socket.create_connection(edge.gateway.address, 20)
        connection.sendall(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        until(lambda: num_streams(edge) == 1)
    with connection, connection.makefile("rb") as answer:
        told = answer.read()

    assert b"event: status\nid: 1\n" in told
    assert told.endswith(b"\r\n0\r\n\r\n"), "an answer that came to its end was not cut off"


def test_events_when_nothing_happens_then_a_comment_now_and_then(
    edge: QueueEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.gateway.events._SILENCE_SECONDS", 0.1)
    job_id = edge.submit()
    with followed(edge, job_id) as stream:
        deadline = time.monotonic() + 20
        for line in stream.response.iter_lines():
            if line.startswith(":"):
                break
            assert time.monotonic() < deadline
        assert line == ": still here"
