"""Cancelling: by a call, in every state that a job may be in, and by a waiting client that hangs up."""

import json
import socket
import time
from collections.abc import Callable

import httpx

from service.domain.job import JobStatus, NewJob
from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import running_gateway

NUM_CLIENTS = 100


def leave_waiting(job: NewJob) -> None:
    """Play no worker at all."""


def a_waiting_job(edge: Edge) -> str:
    edge.intake.on_enqueue = leave_waiting
    return edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def call_and_wait(address: tuple[str, int], *headers: str, path: str = "/v1/generate") -> socket.socket:
    """A client that has sent everything, waits for the job's end and reads nothing."""
    body = json.dumps(GOOD_BODY).encode()
    lines = (f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", f"Content-Length: {len(body)}")
    connection = socket.create_connection(address, 20)
    connection.sendall("\r\n".join((*lines, "Prefer: wait=60", *headers, "", "")).encode() + body)
    return connection


def poll(address: tuple[str, int], job_id: str) -> socket.socket:
    """A client that waits for the job's end and reads nothing."""
    connection = socket.create_connection(address, 20)
    connection.sendall(f"GET /v1/jobs/{job_id} HTTP/1.1\r\nHost: a\r\nPrefer: wait=60\r\n\r\n".encode())
    return connection


def read_answer(connection: socket.socket) -> str:
    """Head and body of the one answer, by its length."""
    with connection.makefile("rb") as stream:
        head = b"".join(iter(stream.readline, b"\r\n")).decode()
        (length,) = (line for line in head.lower().splitlines() if line.startswith("content-length:"))
        return head + stream.read(int(length.partition(":")[2])).decode()


def test_cancel_when_the_job_is_queued_then_it_has_ended_at_once(edge: Edge) -> None:
    job_id = a_waiting_job(edge)

    response = edge.client.post(f"/v1/jobs/{job_id}/cancel")

    job = response.json()
    assert (response.status_code, job["id"], job["status"]) == (200, job_id, "cancelled")
    assert job["ended_at"] is not None
    assert (job["error"], job["eta"], job["outputs"]) == (None, None, [])


def test_cancel_when_the_job_runs_then_it_is_cancelling_until_its_worker_knows(edge: Edge) -> None:
    job_id = a_waiting_job(edge)
    edge.intake.run(job_id, 3)

    statuses = [edge.client.post(f"/v1/jobs/{job_id}/cancel").json()["status"] for _ in range(2)]
    edge.intake.end_cancelled(job_id)

    assert statuses == ["cancelling", "cancelling"]
    assert edge.client.get(f"/v1/jobs/{job_id}").json()["status"] == "cancelled"


def test_cancel_when_the_job_has_ended_then_it_stays_as_it_is(edge: Edge) -> None:
    def give_up(job: NewJob) -> None:
        edge.intake.fail(job.id, "backend_error")

    for end, status in ((edge.work, "succeeded"), (give_up, "failed")):
        edge.intake.on_enqueue = end
        job_id = edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]
        before = edge.client.get(f"/v1/jobs/{job_id}").json()

        response = edge.client.post(f"/v1/jobs/{job_id}/cancel")

        assert (response.status_code, response.json()) == (200, before)
        assert before["status"] == status


def test_result_when_the_job_was_cancelled_then_409_and_no_word_of_later(edge: Edge) -> None:
    job_id = a_waiting_job(edge)
    edge.client.post(f"/v1/jobs/{job_id}/cancel")

    response = edge.client.get(f"/v1/jobs/{job_id}/result")

    problem = response.json()
    assert (response.status_code, problem["code"], problem["retryable"]) == (409, "cancelled", False)
    assert problem["job_id"] == job_id
    assert "retry-after" not in response.headers


def test_result_when_the_job_is_being_cancelled_then_it_has_not_ended(edge: Edge) -> None:
    job_id = a_waiting_job(edge)
    edge.intake.run(job_id, 3)
    edge.client.post(f"/v1/jobs/{job_id}/cancel")

    assert edge.client.get(f"/v1/jobs/{job_id}/result").json()["code"] == "not_finished"


def test_generate_when_another_call_cancels_the_job_then_409_names_it(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    with call_and_wait(edge.gateway.address) as waiting:
        until(lambda: edge.intake.jobs)
        (job_id,) = edge.intake.jobs
        edge.client.post(f"/v1/jobs/{job_id}/cancel")

        answer = read_answer(waiting)

    assert answer.startswith("HTTP/1.1 409 ")
    assert '"code":"cancelled"' in answer
    assert job_id in answer


def test_clients_when_a_hundred_hang_up_then_a_hundred_jobs_are_cancelled(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    cancelled = edge.gateway.metrics.cancelled.labels("queued")._value
    before = cancelled.get()
    clients = [call_and_wait(edge.gateway.address) for _ in range(NUM_CLIENTS)]
    until(lambda: len(edge.intake.jobs) == NUM_CLIENTS)
    assert {job.status for job in edge.intake.jobs.values()} == {JobStatus.QUEUED}

    for client in clients:
        client.close()

    until(lambda: all(job.status is JobStatus.CANCELLED for job in edge.intake.jobs.values()))
    until(lambda: cancelled.get() - before == NUM_CLIENTS)
    assert edge.client.get("/livez").status_code == httpx.codes.OK


def test_client_when_it_hangs_up_then_a_job_with_a_key_and_one_not_waited_for_go_on(edge: Edge) -> None:
    edge.intake.on_enqueue = leave_waiting
    left = edge.gateway.metrics.request_seconds.labels("/generate", "499")._sum
    before = left.get()
    with call_and_wait(edge.gateway.address, "Idempotency-Key: k", path="/generate"):
        until(lambda: len(edge.intake.jobs) == 1)
    with call_and_wait(edge.gateway.address, path="/v1/jobs") as client:
        read_answer(client)
    until(lambda: left.get() > before)

    assert [job.status for job in edge.intake.jobs.values()] == [JobStatus.QUEUED, JobStatus.QUEUED]
    retry = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"Idempotency-Key": "k", "Prefer": "wait=0"})
    assert retry.headers["idempotency-replayed"] == "true"


def test_client_when_it_hangs_up_in_a_long_poll_then_nobody_waits_on_and_the_job_goes_on(edge: Edge) -> None:
    left = edge.gateway.metrics.request_seconds.labels("/v1/jobs/{job_id}", "499")._sum
    before, job_id = left.get(), a_waiting_job(edge)
    with poll(edge.gateway.address, job_id):
        until(lambda: edge.intake.num_waiting == 1)

    until(lambda: left.get() > before)

    assert edge.intake.num_waiting == 0
    assert edge.intake.jobs[job_id].status is JobStatus.QUEUED


def test_server_when_it_stops_under_a_waiting_client_then_the_job_goes_on() -> None:
    intake = FakeIntake()
    with running_gateway(intake, MemoryBlobs()) as gateway:
        client = call_and_wait(gateway.address)
        until(lambda: intake.jobs)

    with client:
        assert [job.status for job in intake.jobs.values()] == [JobStatus.QUEUED]
