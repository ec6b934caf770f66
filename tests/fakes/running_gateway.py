"""The real application behind a real HTTP server on a free port, with scripted ports behind it."""

import asyncio
import atexit
import contextlib
import math
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import httpx
import uvicorn

from service.adapters.blazepose_pool import BlazePosePool
from service.adapters.pillow_pool import PillowPool
from service.adapters.redis_archive import RedisJobArchive
from service.adapters.redis_batches import RedisBatchBooks
from service.adapters.redis_intake import RedisJobIntake
from service.adapters.redis_library import RedisPictureLibrary
from service.adapters.redis_vectors import RedisKnownVectors
from service.adapters.task_end import end_task
from service.api.app import create_app
from service.api.dependencies import GatewayServices
from service.api.http_protocol import ConnectionLimits, GuardedProtocol
from service.api.limits import UploadLimits, WaitLimits
from service.bootstrap.http_server import DrainingServer
from service.gateway.access import Access
from service.gateway.archive import Archive
from service.gateway.batch_feeder import BatchFeeder
from service.gateway.batches import Batches
from service.gateway.events import JobEvents
from service.gateway.forecast import Forecasts
from service.gateway.jobs import Jobs
from service.gateway.library import Library
from service.gateway.models import ServedModel
from service.gateway.persons import Persons
from service.gateway.rates import Rates
from service.gateway.readiness import Readiness
from service.gateway.receivers import Receivers
from service.gateway.status import DeploymentStatus
from service.gateway.workforce import Workforce
from service.ports.blobs import BlobStore
from service.ports.persons import PersonDetector
from service.telemetry.metrics import GatewayMetrics
from service.telemetry.spans import Tracer
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_books import MemoryBooks, MemoryManifests
from tests.fakes.memory_findings import MemoryFindings
from tests.fakes.memory_library import MemoryLibrary

MODEL = ServedModel("tiny", "sha256:" + "cd" * 32, is_trained=False, weights_origin="a rule, for tests")

# One for all gateways of a test run; its process starts with the first picture.
DECODER = PillowPool(1)
atexit.register(DECODER.close)
# Likewise, with the first photo in which a person is looked for.
DETECTOR = BlazePosePool(1)
atexit.register(DETECTOR.close)


@dataclass
class RealQueue:
    """What a gateway holds of a real queue; used and closed in the server's event loop."""

    intake: RedisJobIntake
    archive: RedisJobArchive
    batches: RedisBatchBooks
    library: RedisPictureLibrary
    vectors: RedisKnownVectors


@dataclass
class RunningGateway:
    """Where it is and what stands behind it."""

    client: httpx.Client
    address: tuple[str, int]
    metrics: GatewayMetrics
    server: uvicorn.Server


@contextlib.contextmanager
def running_gateway(
    intake: FakeIntake,
    blobs: BlobStore,
    uploads: UploadLimits | None = None,
    *,
    access: Access | None = None,
    connections: ConnectionLimits | None = None,
    queue: RealQueue | None = None,
    max_event_streams: int = 500,
    library: MemoryLibrary | None = None,
    worker_patience_seconds: float = math.inf,
    drain_seconds: float = 1,
    receivers: Receivers | None = None,
    has_docs: bool = False,
    has_pages: bool = True,
    tracer: Tracer | None = None,
    detector: PersonDetector | None = DETECTOR,
) -> Iterator[RunningGateway]:
    """Serve until the block ends; with a real queue, the intake plays only the registry of workers."""
    metrics = GatewayMetrics("test")
    taken = queue.intake if queue else intake
    archive = queue.archive if queue else intake
    memory = library or MemoryLibrary()
    pictures = Library(queue.library if queue else memory, blobs, queue.vectors if queue else memory, MODEL.digest)
    # Nothing is kept between two looks: the tests change what there is to see.
    forecasts = Forecasts(intake, taken, fresh_seconds=0)
    jobs = Jobs(taken, blobs, MODEL, forecasts, metrics, receivers)
    books, manifests = queue.batches if queue else MemoryBooks(), MemoryManifests()
    feeder = BatchFeeder(books, manifests, taken, blobs, pictures, MODEL, metrics)
    batches = Batches(books, manifests, blobs, feeder, forecasts, metrics, receivers)
    events = JobEvents(archive, blobs, forecasts, metrics, max_event_streams)
    readiness = Readiness(taken, blobs, intake)
    workforce = Workforce(forecasts, worker_patience_seconds)
    services = GatewayServices(
        jobs,
        events,
        Archive(archive, blobs),
        batches,
        pictures,
        forecasts,
        DeploymentStatus(forecasts, archive),
        readiness,
        workforce,
        MODEL,
        metrics,
        access or Access(None),
        Rates(),
    )
    waits = WaitLimits(default_seconds=5, max_seconds=60)
    limits = uploads or UploadLimits()
    persons = Persons(detector, MemoryFindings(), metrics)
    app = create_app(
        services, DECODER, limits, waits, persons=persons, has_docs=has_docs, has_pages=has_pages, tracer=tracer
    )
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    started = threading.Event()

    class Server(DrainingServer):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self._feeding = asyncio.create_task(feeder.run())
            started.set()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await super().shutdown(sockets)
            await end_task(self._feeding)
            if queue:
                for client in (queue.archive, queue.batches, queue.library, queue.vectors, queue.intake):
                    await client.aclose()

    http = partial(GuardedProtocol, limits=connections or ConnectionLimits())
    config = uvicorn.Config(
        app, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1, http=http
    )  # pyright: ignore[reportArgumentType]
    server = Server(config, (events, batches), taken, readiness, drain_seconds)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert started.wait(20), "the server did not start"
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", timeout=20, trust_env=False) as client:
            yield RunningGateway(client, address, metrics, server)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
