"""A worker dies in the middle of a job: the job still ends well, and once."""

import os
import signal
from pathlib import Path

import redis

from tests.integration.processes import RunningService, children, command_line, pixels, running_service, wait_until

# Only who knows that the worker has ended can free its jobs.
ENDLESS = {"XMDPT_QUEUE__LEASE_SECONDS": "600", "XMDPT_QUEUE__STALL_TIMEOUT_SECONDS": "600"}


def terminal_events(service: RunningService, job_id: str) -> list[str]:
    """Final states of the job in the queue's log of events."""
    with redis.Redis.from_url(service.queue_url(), decode_responses=True) as client:
        events = [fields for _, fields in client.xrange("{xmdpt}:events")]
    return [e["type"] for e in events if e["job"] == job_id and e["type"] in ("job.succeeded", "job.failed")]


def test_job_when_its_worker_is_killed_then_the_successor_takes_it_over_and_it_ends_well_once(
    tmp_path: Path, photo: bytes, pose: dict
) -> None:
    with running_service(tmp_path, **ENDLESS) as service:
        undisturbed = pixels(service.generate(photo, pose, seed=5, steps=250).content)
        job = service.submit(photo, pose, seed=5, steps=250)
        wait_until(lambda: service.job(job["id"])["progress"]["step"] > 0, 20, "the job makes steps")
        killed = service.child("worker")

        os.kill(killed, signal.SIGKILL)
        ended = service.ended(job["id"], 60)

        assert ended["status"] == "succeeded"
        assert ended["attempt"] == 2
        assert terminal_events(service, job["id"]) == ["job.succeeded"]
        assert (pixels(service.client.get(ended["urls"]["result"]).content) == undisturbed).all()
        assert service.child("worker") != killed


def test_service_when_the_supervisor_is_killed_then_its_children_end(tmp_path: Path) -> None:
    with running_service(tmp_path, must_stop_well=False) as service:
        family = children(service.process.pid)
        assert len(family) == 3, [command_line(pid) for pid in family]

        service.process.kill()
        service.process.wait()

        wait_until(lambda: not any(command_line(pid) for pid in family), 20, "worker, gateway and queue end")
