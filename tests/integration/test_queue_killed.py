"""kill -9 on the embedded queue: what was accepted is there when it is back, and it comes back by itself."""

import os
import signal
from pathlib import Path

import httpx

from tests.integration.processes import RunningService, children, command_line, running_service, wait_until


def queue_process(service: RunningService) -> int | None:
    found = [pid for pid in children(service.process.pid) if "valkey" in command_line(pid)]
    return found[0] if found else None


def test_jobs_when_the_queue_is_killed_then_all_that_were_accepted_end_well(
    tmp_path: Path, photo: bytes, pose: dict
) -> None:
    with running_service(tmp_path) as service:
        accepted = [service.submit(photo, pose, seed=seed, steps=30)["id"] for seed in range(6)]
        killed = queue_process(service)
        assert killed
        os.kill(killed, signal.SIGKILL)

        wait_until(lambda: queue_process(service) not in (None, killed), 60, "the queue is started again")
        wait_until(service.is_gateway_ready, 60, "the gateway is ready again")

        assert [service.ended(job_id)["status"] for job_id in accepted] == ["succeeded"] * 6
        assert service.generate(photo, pose, steps=4).status_code == httpx.codes.OK
