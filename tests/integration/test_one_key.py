"""One Idempotency-Key, one job or batch: whoever asks at the same time, and whoever dies before the answer."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from tests.contract.lossy_proxy import LossyProxy, lossy_proxy
from tests.integration.lone_gateway import LoneGateway, gateway_of
from tests.integration.processes import ROOT, RunningService, free_port, multipart, running_service, wait_until

KEY = {"Idempotency-Key": "only-once"}
NUM_CALLERS = 64
SIMULATED = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "0",
    "XMDPT_SIMULATED__ROW_MS": "0",
    "XMDPT_SIMULATED__ENCODER_MS": "0",
    "XMDPT_SIMULATED__DECODER_MS": "0",
    "XMDPT_LOG_LEVEL": "warning",
}
CUSTOM_IDS = ["s0-p0", "s0-p1", "s1-p0", "s1-p1"]


def batch_of(client: httpx.Client, photo: bytes) -> dict[str, Any]:
    """A body of four items, of a photo that is kept."""
    source = client.post("/v1/sources", files={"source": photo}).raise_for_status().json()
    sources = [{"id": source["id"]}] * 2
    poses = [{"preset": name} for name in ("walking", "standing")]
    return {"matrix": {"sources": sources, "poses": poses}, "defaults": {"steps": 2}}


def ids_of(jobs: httpx.Response) -> list[str]:
    return [job["id"] for job in jobs.raise_for_status().json()["data"]]


def results_of(client: httpx.Client, batch_id: str) -> list[dict[str, Any]]:
    lines = client.get(f"/v1/batches/{batch_id}/results").raise_for_status().text.splitlines()
    return [json.loads(line) for line in lines if line]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("service"), **SIMULATED) as running:
        yield running


def call_at_once(service: RunningService, path: str, **call: Any) -> list[httpx.Response]:
    """Answers to the same call from all callers, each on a connection that was open before."""
    barrier = Barrier(NUM_CALLERS)

    def send(_: int) -> httpx.Response:
        with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
            client.get("/livez")
            barrier.wait(60)
            give_up_at = time.monotonic() + 60
            while True:
                # Jobs and batches have their keys in common.
                answer = client.post(path, headers={"Idempotency-Key": path}, **call)
                # A queue that all ask at once may be too slow for one of them, who then asks again: that is what the
                # key is for.
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > give_up_at:
                    return answer
                time.sleep(float(answer.headers["Retry-After"]))

    with ThreadPoolExecutor(NUM_CALLERS) as callers:
        return list(callers.map(send, range(NUM_CALLERS)))


def only_id(answers: list[httpx.Response]) -> str:
    """What all answers name; one of them says that it is new, unless that one was lost and asked for again."""
    assert [answer.status_code for answer in answers] == [httpx.codes.ACCEPTED] * NUM_CALLERS
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) <= 1
    (found,) = {answer.json()["id"] for answer in answers}
    return found


def test_job_when_64_call_at_once_with_one_key_then_there_is_one(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    before = ids_of(service.client.get("/v1/jobs"))

    job_id = only_id(call_at_once(service, "/v1/jobs", **multipart(photo, pose, {"steps": 2})))

    assert service.ended(job_id)["status"] == "succeeded"
    assert ids_of(service.client.get("/v1/jobs")) == [job_id, *before]


def test_batch_when_64_call_at_once_with_one_key_then_there_is_one_and_its_items_once(
    service: RunningService, photo: bytes
) -> None:
    before = ids_of(service.client.get("/v1/jobs"))

    batch_id = only_id(call_at_once(service, "/v1/batches", json=batch_of(service.client, photo)))

    lines = results_of(service.client, batch_id)
    assert sorted(line["custom_id"] for line in lines) == CUSTOM_IDS
    # Also those of any other batch.
    assert sorted(ids_of(service.client.get("/v1/jobs"))) == sorted([*before, *(line["job_id"] for line in lines)])


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[LossyProxy]:
    """Before a queue of its own: it sees what the queue has done, before the gateway does."""
    queue = EmbeddedValkey(tmp_path / "queue")
    queue.start()
    try:
        with lossy_proxy(queue.url) as proxy:
            yield proxy
    finally:
        queue.stop()


@contextmanager
def worker_of(queue_url: str, folder: Path) -> Iterator[None]:
    """A simulated worker, killed at the end."""
    environment = os.environ | SIMULATED
    environment |= {"REDIS_URL": queue_url, "XMDPT_DATA_DIR": str(folder), "XMDPT_WORKER__OPS_PORT": str(free_port())}
    process = subprocess.Popen([sys.executable, "-m", "service", "worker"], cwd=ROOT, env=environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def kill_before_the_answer(proxy: LossyProxy, gateway: LoneGateway, function: str) -> None:
    """As soon as the queue has done what the gateway asks next of this function, and before the gateway knows."""

    def kill() -> None:
        gateway.process.kill()
        gateway.process.wait()

    proxy.lose(1, function, then=kill)


def test_job_when_the_gateway_is_killed_before_it_can_say_202_then_a_retry_finds_the_job(
    proxy: LossyProxy, tmp_path: Path, photo: bytes, pose: dict
) -> None:
    call: dict[str, Any] = multipart(photo, pose, {"steps": 2}) | {"headers": KEY}
    with gateway_of(proxy.url, tmp_path) as gateway:
        kill_before_the_answer(proxy, gateway, "q1_enqueue")
        with pytest.raises(httpx.TransportError):
            gateway.client.post("/v1/jobs", **call)

    with gateway_of(proxy.url, tmp_path) as gateway, worker_of(proxy.url, tmp_path):
        (accepted,) = ids_of(gateway.client.get("/v1/jobs"))
        retry = gateway.client.post("/v1/jobs", **call)

        assert (retry.status_code, retry.headers.get("Idempotency-Replayed")) == (httpx.codes.ACCEPTED, "true")
        assert retry.json()["id"] == accepted
        url = f"/v1/jobs/{accepted}"
        wait_until(lambda: gateway.client.get(url).json()["status"] == "succeeded", 60, "the job ends well")
        assert ids_of(gateway.client.get("/v1/jobs")) == [accepted]


def test_batch_when_the_gateway_is_killed_before_it_can_say_202_then_a_retry_finds_the_batch(
    proxy: LossyProxy, tmp_path: Path, photo: bytes
) -> None:
    with gateway_of(proxy.url, tmp_path) as gateway:
        body = batch_of(gateway.client, photo)
        kill_before_the_answer(proxy, gateway, "q1_batch_open")
        with pytest.raises(httpx.TransportError):
            gateway.client.post("/v1/batches", headers=KEY, json=body)

    # The next one dies as well, in the middle of making jobs of the items: one is a job, and nobody knows.
    with gateway_of(proxy.url, tmp_path) as gateway:
        kill_before_the_answer(proxy, gateway, "q1_enqueue")
        assert gateway.process.wait(60) < 0

    with gateway_of(proxy.url, tmp_path) as gateway, worker_of(proxy.url, tmp_path):
        retry = gateway.client.post("/v1/batches", headers=KEY, json=body)

        assert (retry.status_code, retry.headers.get("Idempotency-Replayed")) == (httpx.codes.ACCEPTED, "true")
        lines = results_of(gateway.client, retry.json()["id"])
        assert sorted(line["custom_id"] for line in lines) == CUSTOM_IDS
        assert {line["status"] for line in lines} == {"succeeded"}
        assert sorted(ids_of(gateway.client.get("/v1/jobs"))) == sorted(line["job_id"] for line in lines)
