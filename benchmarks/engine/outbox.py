"""What the queue has announced, as its outbox holds it for an hour; the queue's clock is this computer's."""

from dataclasses import dataclass
from typing import cast

from benchmarks.engine.deployment import Deployment
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect

FINAL = frozenset({"job.succeeded", "job.failed", "job.cancelled"})
"""Kinds that end a job."""


@dataclass(frozen=True)
class Change:
    """A change of a job's state: POSIX seconds, what happened, such as `job.started`, and to which job."""

    at: float
    kind: str
    job_id: str


def changes(deployment: Deployment, since: float = 0) -> list[Change]:
    """Those of all jobs since a moment, POSIX seconds, in their order."""
    with connect(deployment.queue_url) as client:
        entries = cast(
            "list[tuple[str, dict[str, str]]]",
            client.xrange(f"{RedisKeys().prefix}events", min=str(int(1000 * since))),
        )
    events = [fields for _, fields in entries]
    return [Change(int(each["at"]) / 1000, each["type"], each["job"]) for each in events if "job" in each]
