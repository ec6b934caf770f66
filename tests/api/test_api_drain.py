"""A gateway that has been told to stop, and one behind which nobody works."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.domain.access import CallerLimits
from service.domain.job import JobStatus
from service.gateway.access import Access
from tests.api.bad_inputs import GOOD_BODY
from tests.fakes.fake_intake import FakeIntake, a_worker_report
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_keys import MemoryKeys
from tests.fakes.running_gateway import RunningGateway, running_gateway
from tests.integration.processes import wait_until

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def gateway(intake: FakeIntake) -> Iterator[RunningGateway]:
    with running_gateway(intake, MemoryBlobs(), drain_seconds=60) as gateway:
        yield gateway


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert int(response.headers["retry-after"]) >= 1
    problem = response.json()
    assert problem["retryable"]
    return response.status_code, problem["code"]


def test_gateway_when_told_to_stop_then_new_jobs_are_refused_and_answers_in_flight_come(
    gateway: RunningGateway, intake: FakeIntake
) -> None:
    started = gateway.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(gateway.client.get, f"/v1/jobs/{started}", headers={"Prefer": "wait=15"})
        wait_until(lambda: intake.num_waiting == 1, 60, "the call waits")
        gateway.server.should_exit = True
        wait_until(lambda: gateway.client.get("/readyz").status_code != httpx.codes.OK, 60, "it drains")

        assert refusal(gateway.client.get("/readyz")) == (503, "draining")
        for address in ("/v1/jobs", "/v1/generate", "/generate"):
            assert refusal(gateway.client.post(address, json=GOOD_BODY)) == (503, "draining")
        assert gateway.client.get("/livez").status_code == httpx.codes.OK
        assert gateway.client.get(f"/v1/jobs/{started}").json()["status"] == "queued"
        # Whoever follows comes again until another gateway answers; a refusal would end an EventSource.
        followed = gateway.client.get(f"/v1/jobs/{started}/events")
        assert (followed.status_code, followed.text.count("event: ")) == (200, 1)
        assert "xmdpt_ready 0.0" in gateway.client.get("/metrics").text
        assert gateway.client.post(f"/v1/jobs/{started}/cancel").json()["status"] == "cancelled"

        assert waiting.result(20).json()["status"] == "cancelled"
    assert list(intake.jobs) == [started]
    wait_until(lambda: not is_open(gateway), 60, "it has nothing left to answer and stops")


def test_gateway_when_the_drain_is_over_then_calls_that_wait_learn_where_their_jobs_are(intake: FakeIntake) -> None:
    with running_gateway(intake, MemoryBlobs(), drain_seconds=0.2) as gateway, ThreadPoolExecutor(2) as threads:
        started = gateway.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]
        headers = {"Prefer": "wait=60"}
        making = threads.submit(gateway.client.post, "/generate", json=GOOD_BODY, headers=headers)
        looking = threads.submit(gateway.client.get, f"/v1/jobs/{started}", headers=headers)
        wait_until(lambda: intake.num_waiting == 2, 60, "both wait")
        gateway.server.should_exit = True
        made, looked = making.result(20), looking.result(20)

    assert made.status_code == httpx.codes.ACCEPTED
    assert made.headers["location"] == f"/v1/jobs/{made.json()['id']}"
    assert (looked.status_code, looked.json()["id"], looked.json()["status"]) == (200, started, "queued")
    # Nobody has hung up, so nothing is cancelled.
    assert {job.status for job in intake.jobs.values()} == {JobStatus.QUEUED}


def test_gateway_when_a_body_comes_while_it_drains_then_it_is_refused_unread(
    gateway: RunningGateway, intake: FakeIntake
) -> None:
    body_may_end = threading.Event()

    def slow_body() -> Iterator[bytes]:
        yield b'{"seed": 1, '
        body_may_end.wait(30)
        yield b'"seed": 1}'

    headers = {"Content-Type": "application/json"}
    with ThreadPoolExecutor(1) as threads:
        begun = threads.submit(gateway.client.post, "/v1/jobs", content=slow_body(), headers=headers)
        wait_until(lambda: gateway.server.server_state.tasks, 60, "a request is in flight")
        gateway.server.should_exit = True
        wait_until(lambda: gateway.client.get("/readyz").status_code != httpx.codes.OK, 60, "it drains")
        late = gateway.client.post("/v1/jobs", content=b"{}" * 5000, headers=headers)
        body_may_end.set()

        # What had begun before is answered as ever.
        assert (begun.result(20).status_code, begun.result().json()["code"]) == (400, "malformed_request")
    assert refusal(late) == (503, "draining")
    assert late.headers["connection"] == "close"


def test_call_when_no_worker_lives_then_only_those_that_wait_are_refused_and_nothing_is_kept(
    intake: FakeIntake,
) -> None:
    with running_gateway(intake, MemoryBlobs(), worker_patience_seconds=0) as gateway:
        for headers in ({}, {"Prefer": "wait=1"}):
            assert refusal(gateway.client.post("/generate", json=GOOD_BODY, headers=headers)) == (503, "no_worker")
        assert intake.jobs == {}
        accepted = gateway.client.post("/generate", json=GOOD_BODY, headers=ASYNC)
        assert accepted.status_code == httpx.codes.ACCEPTED
        assert gateway.client.post("/v1/jobs", json=GOOD_BODY).status_code == httpx.codes.ACCEPTED
        job = f"/v1/jobs/{accepted.json()['id']}"
        assert gateway.client.get(job, headers={"Prefer": "wait=1"}).status_code == httpx.codes.OK

        intake.workers = [a_worker_report()]
        waited = gateway.client.post("/generate", json=GOOD_BODY, headers={"Prefer": "wait=1"})
        assert waited.status_code == httpx.codes.ACCEPTED


def test_events_when_a_key_follows_a_hundred_jobs_then_429_until_one_stream_ends(intake: FakeIntake) -> None:
    keys = MemoryKeys()
    key = keys.add("adaadaad", "ada", limits=CallerLimits(100_000, 1000, 1))
    bearer = {"Authorization": f"Bearer {key}"}
    with running_gateway(intake, MemoryBlobs(), access=Access(keys)) as gateway:
        job_id = gateway.client.post("/v1/jobs", json=GOOD_BODY, headers=bearer).json()["id"]
        address = f"{gateway.client.base_url}/v1/jobs/{job_id}/events"
        with httpx.Client(
            limits=httpx.Limits(max_connections=200), headers=bearer, timeout=60, trust_env=False
        ) as client:
            streams = [client.send(client.build_request("GET", address), stream=True) for _ in range(100)]
            assert {stream.status_code for stream in streams} == {httpx.codes.OK}

            assert refusal(client.get(address)) == (429, "concurrency_limited")

            streams.pop().close()
            wait_until(lambda: may_follow(client, address), 60, "the place is free")
            for stream in streams:
                stream.close()


def may_follow(client: httpx.Client, address: str) -> bool:
    with client.stream("GET", address) as response:
        return response.status_code == httpx.codes.OK


def is_open(gateway: RunningGateway) -> bool:
    try:
        gateway.client.get("/livez")
    except httpx.TransportError:
        return False
    return True
