"""Following and erasing jobs with the whole service running."""

import os
import signal
from pathlib import Path

import httpx

from tests.integration.processes import RunningService, running_service, wait_until

# A job of 250 steps takes 10 s: longer than all that is looked at here.
SLOW = {"XMDPT_BACKEND": "simulated", "XMDPT_SIMULATED__STEP_MS": "40", "XMDPT_SIMULATED__ROW_MS": "0"}


def kinds(lines: list[str]) -> list[str]:
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


def files_of(service: RunningService, job_id: str) -> list[Path]:
    return list((service.data_dir / "blobs").glob(f"*/{job_id}*"))


def test_service_when_jobs_are_followed_erased_and_interrupted_then_each_stream_comes_to_its_end(
    tmp_path: Path, photo: bytes, pose: dict
) -> None:
    with running_service(tmp_path, **SLOW) as service:
        short = service.submit(photo, pose, steps=100)
        with service.client.stream("GET", short["urls"]["events"]) as response:
            told = kinds(list(response.iter_lines()))

        erased = service.submit(photo, pose, steps=250)["id"]
        wait_until(lambda: service.job(erased)["progress"]["step"], 30, "it runs")
        answer = service.client.delete(f"/v1/jobs/{erased}")

        def is_erased() -> bool:
            again = service.client.delete(f"/v1/jobs/{erased}").status_code
            return again == httpx.codes.NOT_FOUND and not files_of(service, erased)

        wait_until(is_erased, 30, "nothing of it is left")
        listed = [job["id"] for job in service.client.get("/v1/jobs").json()["data"]]

        long = service.submit(photo, pose, steps=250)
        with service.client.stream("GET", long["urls"]["events"]) as response:
            lines = response.iter_lines()
            first = [next(lines) for _ in range(4)]
            os.kill(service.child("gateway"), signal.SIGTERM)
            rest = list(lines)  # An answer that was cut off would raise.
        wait_until(service.is_gateway_ready, 60, "the gateway is back")
        seen = [line.removeprefix("id: ") for line in (*first, *rest) if line.startswith("id: ")][-1]
        with service.client.stream("GET", long["urls"]["events"], headers={"Last-Event-ID": seen}) as response:
            service.client.post(long["urls"]["cancel"]).raise_for_status()
            resumed = list(response.iter_lines())

    assert (told[0], told[-1]) == ("status", "end")
    assert "progress" in told
    assert answer.status_code == httpx.codes.ACCEPTED
    assert listed == [short["id"]]
    assert kinds(first) == ["status"]
    assert "end" not in kinds(rest)
    assert kinds(resumed)[-1] == "end"
