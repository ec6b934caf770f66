"""A real gateway that is told to stop while somebody waits."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.api.bad_inputs import GOOD_BODY
from tests.integration.lone_gateway import lone_gateway
from tests.integration.processes import running_service, wait_until

# Whoever shares a step: 50 steps take 6 s, 250 take 30 s, so that a drain of 12 s is far from either.
SLOW = {"XMDPT_BACKEND": "simulated", "XMDPT_SIMULATED__STEP_MS": "120", "XMDPT_SIMULATED__ROW_MS": "0"}


def test_gateway_when_told_to_stop_then_it_says_so_until_the_last_answer_and_ends_with_status_0(tmp_path: Path) -> None:
    with lone_gateway(tmp_path, XMDPT_GATEWAY__DRAIN_SECONDS="15") as gateway, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(
            gateway.client.post, "/v1/generate", json=GOOD_BODY, headers={"Prefer": "wait=60", "Idempotency-Key": "k"}
        )
        wait_until(lambda: gateway.client.get("/v1/jobs").json()["data"], 20, "the job is accepted")
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: gateway.client.get("/readyz").status_code != httpx.codes.OK, 60, "it drains")

        refused = gateway.client.post("/v1/jobs", json=GOOD_BODY)
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert waiting.result(40).status_code == httpx.codes.ACCEPTED
        assert gateway.process.wait(40) == 0


def test_gateway_when_told_to_stop_then_who_waits_gets_a_picture_in_time_or_where_to_find_it_later(
    tmp_path: Path, photo: bytes, pose: dict
) -> None:
    with (
        running_service(
            tmp_path,
            XMDPT_GATEWAY__DRAIN_SECONDS="12",
            XMDPT_WORKER__MAX_SLOTS="4",
            # The long job need not end.
            XMDPT_WORKER__DRAIN_SECONDS="0",
            **SLOW,
        ) as service,
        ThreadPoolExecutor(2) as threads,
    ):

        def are_running(number: int) -> bool:
            jobs = service.client.get("/v1/jobs").json()["data"]
            return [job["status"] for job in jobs] == number * ["running"]

        long = threads.submit(service.generate, photo, pose, steps=250)
        wait_until(lambda: are_running(1), 30, "the long one runs")
        short = threads.submit(service.generate, photo, pose, steps=50)
        wait_until(lambda: are_running(2), 30, "both run")
        os.kill(service.child("gateway"), signal.SIGTERM)
        in_time, late = short.result(60), long.result(60)
        wait_until(service.is_gateway_ready, 60, "another gateway is there")
        found = service.client.get(late.headers["location"]).json()

    assert (in_time.status_code, in_time.headers["content-type"]) == (200, "image/png")
    assert late.status_code == httpx.codes.ACCEPTED
    # By then it may have ended; nobody has hung up, so it is not cancelled.
    assert found["id"] == late.json()["id"]
    assert found["status"] in ("running", "succeeded")
