"""A gateway in front of a real queue, and a worker and an upkeep that a test plays by hand."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import redis

from service.adapters.queue_functions import load_functions
from service.adapters.redis_archive import RedisJobArchive
from service.adapters.redis_batches import RedisBatchBooks
from service.adapters.redis_intake import RedisJobIntake
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_leases import RedisJobLeases
from service.adapters.redis_library import RedisPictureLibrary
from service.adapters.redis_server import connect
from service.adapters.redis_vectors import RedisKnownVectors
from service.domain.job import ClaimedJob, Progress
from service.domain.result import PictureFile
from tests.api.bad_inputs import GOOD_BODY
from tests.contract.queue_parts import POLICY
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import RealQueue, RunningGateway, running_gateway
from tests.unit.builders import a_result

_POLICY = replace(POLICY, lease_seconds=15.0)
_MAX_REAPED = 200
PICTURE = b"picture"


@dataclass
class QueueEdge:
    """What a test holds."""

    gateway: RunningGateway
    blobs: MemoryBlobs
    leases: RedisJobLeases
    redis: redis.Redis

    @property
    def client(self) -> httpx.Client:
        return self.gateway.client

    def submit(self, **fields: Any) -> str:
        return self.client.post("/v1/jobs", json=GOOD_BODY | fields).raise_for_status().json()["id"]

    def claim(self) -> ClaimedJob:
        (job,) = self.leases.claim(1, 0)
        return job

    def step(self, job: ClaimedJob, step: int) -> None:
        assert self.leases.heartbeat({job.id: (job.fence, Progress("tdnet_step", step))})[job.id] == "ok"

    def succeed(self, job: ClaimedJob) -> None:
        self.blobs.put_output(job.id, job.fence, PICTURE)
        file = PictureFile(hashlib.sha256(PICTURE).hexdigest(), len(PICTURE))
        for index in range(1, job.request.num_images):
            self.blobs.put_output(job.id, job.fence, PICTURE, index)
        result = a_result(job.fence, files=(file,) * job.request.num_images)
        assert self.leases.succeed(job.id, result) == "succeeded"

    def reap(self) -> list[str]:
        """One round of upkeep; the jobs whose pictures may be deleted."""
        return self.redis.fcall("q1_reap", 1, RedisKeys().prefix, _MAX_REAPED, 15_000, 5)[4]  # pyright: ignore


@contextlib.contextmanager
def queue_edge(url: str, max_event_streams: int = 500, max_pictures: int = 100) -> Iterator[QueueEdge]:
    """Serve until the block ends; the server at `url` is emptied."""
    keys, blobs = RedisKeys(), MemoryBlobs()
    intake, leases = RedisJobIntake(url, keys, _POLICY), RedisJobLeases(url, keys, _POLICY)
    archive, library = RedisJobArchive(url, keys, intake.watch), RedisPictureLibrary(url, keys, max_pictures)
    batches = RedisBatchBooks(url, keys, _POLICY)
    queue = RealQueue(intake, archive, batches, library, RedisKnownVectors(url, keys))
    with connect(url) as client:
        client.flushall()
        load_functions(client)
        try:
            with running_gateway(FakeIntake(), blobs, queue=queue, max_event_streams=max_event_streams) as gateway:
                yield QueueEdge(gateway, blobs, leases, client)
        finally:
            leases.close()
