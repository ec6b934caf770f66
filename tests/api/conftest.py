"""One gateway for the whole suite of the edge; its fakes are emptied before each test."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from service.domain.job import NewJob
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.redis_process import RedisProcess
from tests.fakes.running_gateway import RunningGateway, running_gateway
from tests.simulation.queue.episode import simulation_server


@dataclass
class Edge:
    """The gateway and the scripted parts behind it."""

    gateway: RunningGateway
    intake: FakeIntake
    blobs: MemoryBlobs

    @property
    def client(self) -> httpx.Client:
        return self.gateway.client

    def work(self, job: NewJob) -> None:
        """Play a worker that ends each job at once: a picture is a digest of its input, and its index unless 0."""
        content = b"picture of " + hashlib.sha256(self.blobs.get_input(job.id)).hexdigest().encode()
        contents = [content + (b" %d" % index if index else b"") for index in range(job.rows)]
        for index, each in enumerate(contents):
            self.blobs.put_output(job.id, 1, each, index)
        self.intake.succeed(job.id, *contents)


@pytest.fixture(scope="session")
def _running_edge() -> Iterator[Edge]:
    intake, blobs = FakeIntake(), MemoryBlobs()
    with running_gateway(intake, blobs) as gateway:
        yield Edge(gateway, intake, blobs)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    """A real server for a queue, for tests whose gateway has one."""
    with simulation_server() as server:
        yield server


@pytest.fixture
def edge(_running_edge: Edge) -> Edge:
    """A gateway whose worker ends every job at once."""
    _running_edge.intake.clear()
    _running_edge.blobs.clear()
    _running_edge.intake.on_enqueue = _running_edge.work
    return _running_edge
