"""Clients that go away or change their mind, with the whole service running: their slots are free at once."""

import socket
import time
from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import pytest
import redis
from PIL import Image

from service.adapters.simulated_backend import expected_picture
from service.domain.request import SamplingParams
from tests.integration.processes import RunningService, multipart, pixels, running_service, skeleton_of, wait_until
from xmdpt.preprocess import to_photo

NUM_CLIENTS = 100
# A job of 250 steps takes 10 s: longer than all that is looked at here.
SLOW = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "40",
    "XMDPT_SIMULATED__ROW_MS": "0",
    "XMDPT_WORKER__MAX_SLOTS": "8",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("slow"), **SLOW) as service:
        yield service


def hang_up(service: RunningService, body: bytes, content_type: str) -> socket.socket:
    """Send a request that waits for its picture, and return before there is one; who closes the socket hangs up."""
    connection = socket.create_connection(("127.0.0.1", service.port))
    head = (
        "POST /generate HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def a_body(service: RunningService, photo: bytes, pose: dict, **fields: object) -> tuple[bytes, str]:
    request = service.client.build_request("POST", "/generate", **multipart(photo, pose, fields))
    return request.read(), request.headers["content-type"]


def num_accepted(service: RunningService) -> int:
    """Jobs that the queue has ever taken; unlike those that live, none is missed by who looks late."""
    with redis.Redis.from_url(service.queue_url(), decode_responses=True) as client:
        return int(client.get("{xmdpt}:seq") or 0)


def num_live(service: RunningService) -> int:
    with redis.Redis.from_url(service.queue_url(), decode_responses=True) as client:
        return int(client.hget("{xmdpt}:live", "*") or 0)


def test_clients_when_a_hundred_hang_up_then_all_slots_are_free_and_other_pictures_are_as_ever(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    before = num_accepted(service)
    bystander = service.submit(photo, pose, seed=7, steps=150)
    body, content_type = a_body(service, photo, pose, steps=250)
    connections = [hang_up(service, body, content_type) for _ in range(NUM_CLIENTS)]
    wait_until(lambda: num_accepted(service) == before + NUM_CLIENTS + 1, 60, "all requests are accepted")

    for connection in connections:
        connection.close()

    wait_until(lambda: num_live(service) <= 1, 30, "every job of theirs has ended")
    ended = service.ended(bystander["id"])
    assert ended["status"] == "succeeded"
    params = SamplingParams(seed=7, num_steps=150)
    source = service.client.get(ended["urls"]["result"]).content
    assert (pixels(source) == expected_picture(decoded(photo), skeleton_of(pose), params)).all()
    cancelled = service.metric("xmdpt_jobs_total", '{state="cancelled"}')
    assert cancelled >= 1, "some of them were running"


def steps_at_rest(service: RunningService) -> float:
    """The number of steps made, once none is added for 25 steps' time."""

    def unchanged() -> float | None:
        before = service.metric("xmdpt_steps_total")
        time.sleep(1)
        return before if service.metric("xmdpt_steps_total") == before else None

    return wait_until(unchanged, 60, "no step is made")


def test_job_when_it_is_cancelled_while_it_runs_then_it_ends_so_and_makes_no_more_steps(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    job = service.submit(photo, pose, steps=250)
    wait_until(lambda: service.job(job["id"])["progress"]["step"] > 0, 20, "the job makes steps")

    answer = service.client.post(f"/v1/jobs/{job['id']}/cancel")

    assert answer.status_code == httpx.codes.OK
    assert answer.json()["status"] in ("cancelling", "cancelled")
    wait_until(lambda: service.job(job["id"])["status"] == "cancelled", 20, "the job has ended")
    steps = steps_at_rest(service)
    again = service.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (httpx.codes.OK, "cancelled")
    assert service.client.get(f"/v1/jobs/{job['id']}/result").status_code == httpx.codes.CONFLICT
    service.generate(photo, pose, steps=5)
    assert service.metric("xmdpt_steps_total") == steps + 5, "the other one would have made as many meanwhile"


def test_job_when_its_deadline_passes_then_it_fails_with_that_reason(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    job = service.submit(photo, pose, steps=250, deadline_ms=400)
    ended = service.ended(job["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "deadline_exceeded")


def test_job_when_it_runs_then_its_end_is_foretold_and_its_preview_can_be_seen(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    job = service.submit(photo, pose, steps=250, params='{"preview": {"every_steps": 2}}')
    eta = wait_until(lambda: service.job(job["id"])["eta"], 20, "there is a forecast")
    assert 0 < eta["p50_ms"] <= eta["p90_ms"]
    preview = wait_until(lambda: preview_of(service, job["id"]), 20, "there is a preview")
    assert pixels(preview).shape == (128, 128, 3)
    ended = service.ended(job["id"])
    assert ended["eta"] is None
    assert ended["engine"]["runtime"] == "simulated"


def test_person_when_it_comes_again_then_no_encoder_runs(service: RunningService, photo: bytes, pose: dict) -> None:
    service.generate(photo, pose, steps=2)
    runs = service.metric("xmdpt_stage_duration_seconds_count", '{stage="source_encoder"}')
    answer = service.generate(photo, pose, steps=2)
    assert answer.headers["X-Xmdpt-Cache"] == "source=hit, pose=hit"
    assert service.metric("xmdpt_stage_duration_seconds_count", '{stage="source_encoder"}') == runs


def preview_of(service: RunningService, job_id: str) -> bytes | None:
    answer = service.client.get(f"/v1/jobs/{job_id}/preview")
    return answer.content if answer.status_code == httpx.codes.OK else None


def decoded(photo: bytes) -> np.ndarray:
    with Image.open(BytesIO(photo)) as image:
        return to_photo(image)
