"""A real gateway that is told to stop while somebody waits."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.api.bad_inputs import GOOD_BODY
from tests.integration.lone_gateway import lone_gateway
from tests.integration.processes import wait_until


def test_gateway_when_told_to_stop_then_it_says_so_until_the_last_answer_and_ends_with_status_0(tmp_path: Path) -> None:
    with lone_gateway(tmp_path) as gateway, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(
            gateway.client.post, "/v1/generate", json=GOOD_BODY, headers={"Prefer": "wait=3", "Idempotency-Key": "k"}
        )
        wait_until(lambda: gateway.client.get("/v1/jobs").json()["data"], 20, "the job is accepted")
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: gateway.client.get("/readyz").status_code != httpx.codes.OK, 10, "it drains")

        refused = gateway.client.post("/v1/jobs", json=GOOD_BODY)
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert waiting.result(20).status_code == httpx.codes.ACCEPTED
        assert gateway.process.wait(20) == 0
