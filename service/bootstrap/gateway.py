"""The gateway's process."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from fastapi import FastAPI
from starlette.types import Lifespan

from service.adapters.pillow_pool import PillowPool
from service.adapters.queue_audit import RedisQueueAuditor
from service.adapters.queue_calls import listen_to_calls
from service.adapters.queue_functions import RedisQueueFunctions
from service.adapters.redis_archive import RedisJobArchive
from service.adapters.redis_batches import RedisBatchBooks
from service.adapters.redis_intake import RedisJobIntake
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_library import RedisPictureLibrary
from service.adapters.redis_upkeep import RedisJobUpkeep
from service.adapters.redis_vectors import RedisKnownVectors
from service.adapters.redis_workers import RedisWorkerRegistry
from service.adapters.task_end import end_task
from service.api.app import create_app
from service.api.dependencies import GatewayServices
from service.api.limits import UploadLimits, WaitLimits
from service.bootstrap.access import open_key_ring, shows_docs
from service.bootstrap.backend import served_model
from service.bootstrap.http_server import draining_server, listen
from service.bootstrap.persons import PersonFinding
from service.bootstrap.process import VERSION, share_the_interpreter, stop_quietly_on_sigterm
from service.bootstrap.queue import prepare_queue, queue_policy
from service.bootstrap.stores import open_stores
from service.bootstrap.tracing import open_tracer
from service.bootstrap.webhooks import Webhooks
from service.gateway.access import Access
from service.gateway.archive import Archive
from service.gateway.batch_feeder import BatchFeeder
from service.gateway.batches import Batches
from service.gateway.events import JobEvents
from service.gateway.forecast import Forecasts
from service.gateway.jobs import Jobs
from service.gateway.library import Library
from service.gateway.models import ServedModel
from service.gateway.rates import Rates
from service.gateway.readiness import Readiness
from service.gateway.status import DeploymentStatus
from service.gateway.upkeep import Upkeep
from service.gateway.workforce import Workforce
from service.settings import GatewaySettings, Settings
from service.telemetry.logs import configure_logs, get_logger
from service.telemetry.metrics import GatewayMetrics


class _Duty(Protocol):
    async def run(self) -> None: ...


class _Client(Protocol):
    async def aclose(self) -> None: ...


def run_gateway(settings: Settings) -> None:
    """Serve HTTP until SIGTERM or SIGINT.

    Raises:
        ModelRepositoryError: the model's manifest is missing or not one of this version's.
        ConfigurationError: no queue is named, or it could lose jobs.
        StorageError: the queue or the picture store does not answer.
    """
    stop_quietly_on_sigterm()
    share_the_interpreter()
    configure_logs("gateway", settings.log_level, settings.log_format)
    tracer = open_tracer(settings.tracing, "gateway")
    model = served_model(settings)
    prepare_queue(settings)
    url, policy, keys = settings.redis_url, queue_policy(settings), RedisKeys(settings.queue.prefix)
    stores = open_stores(settings)
    blobs, manifests = stores.blobs, stores.manifests
    intake, registry = RedisJobIntake(url, keys, policy), RedisWorkerRegistry(url, keys)
    archive = RedisJobArchive(url, keys, intake.watch)
    pictures, vectors = (
        RedisPictureLibrary(url, keys, settings.queue.max_pictures_per_tenant),
        RedisKnownVectors(url, keys),
    )
    queue_upkeep, auditor = RedisJobUpkeep(url, keys, policy), RedisQueueAuditor(url, keys, policy)
    metrics = GatewayMetrics(VERSION)
    if stores.space:
        metrics.tell_storage(stores.space)
    listen_to_calls(metrics.note_call)
    books = RedisBatchBooks(url, keys, policy)
    functions = RedisQueueFunctions(url)
    upkeep = Upkeep(queue_upkeep, functions, auditor, blobs, manifests, policy.lease_seconds, metrics)
    forecasts = Forecasts(registry, intake)
    readiness, workforce = Readiness(intake, blobs, functions), Workforce(forecasts)
    ring, links = open_key_ring(settings)
    library = Library(pictures, blobs, vectors, model.digest)
    feeder = BatchFeeder(books, manifests, intake, blobs, library, model, metrics)
    webhooks = Webhooks(settings, metrics, tracer)
    batches = Batches(books, manifests, blobs, feeder, forecasts, metrics, webhooks.receivers)
    edge = settings.gateway
    decoder = PillowPool(edge.decoders, edge.max_pixels, on_crash=metrics.decoder_crashes.inc)
    finding = PersonFinding(settings, metrics)

    duties = (upkeep, feeder, workforce, webhooks.dispatcher)
    clients = (archive, books, intake, registry, pictures, vectors, queue_upkeep, auditor, webhooks)
    lifespan = _lifespan(decoder, finding, duties, (*clients, *([ring] if ring else [])))
    events = JobEvents(archive, blobs, forecasts, metrics, edge.max_event_streams)
    app = create_app(
        GatewayServices(
            Jobs(intake, blobs, model, forecasts, metrics, webhooks.receivers),
            events,
            Archive(archive, blobs),
            batches,
            library,
            forecasts,
            DeploymentStatus(forecasts, archive),
            readiness,
            workforce,
            model,
            metrics,
            Access(ring, links=links),
            Rates(),
        ),
        decoder,
        _upload_limits(edge),
        WaitLimits(edge.default_wait_seconds, edge.max_wait_seconds),
        settings.queue.retention_seconds,
        lifespan,
        persons=finding.persons,
        has_docs=shows_docs(edge, needs_keys=ring is not None),
        has_pages=edge.pages == "on",
        tracer=tracer,
    )
    listener = listen(edge.host, edge.port)
    _say_what_is_served(model, listener)
    server = draining_server(app, edge, (events, batches), intake, readiness)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    functions.close()
    if tracer is not None:
        tracer.close()
    if not server.started:
        sys.exit(1)


def _lifespan(
    decoder: PillowPool, finding: PersonFinding, duties: Sequence[_Duty], clients: Sequence[_Client]
) -> Lifespan[FastAPI]:
    """What runs beside the application, from its start to its end."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        decoder.start()
        tasks = [asyncio.create_task(duty.run(), name=type(duty).__name__) for duty in duties]
        try:
            yield
        finally:
            for task in tasks:
                await end_task(task)
            decoder.close()
            finding.close()
            for client in clients:
                await client.aclose()

    return lifespan


def _upload_limits(edge: GatewaySettings) -> UploadLimits:
    return UploadLimits(
        max_body_bytes=edge.max_body_bytes,
        max_picture_bytes=edge.max_picture_bytes,
        max_side_px=edge.max_side_px,
        max_pixels=edge.max_pixels,
    )


def _say_what_is_served(model: ServedModel, listener: socket.socket) -> None:
    log = get_logger()
    host, port = listener.getsockname()[:2]
    log.info("serving", host=host, port=port, model=model.name, digest=model.digest, weights=model.weights_origin)
    if not model.is_trained:
        log.warning("the weights are untrained: every picture is noise until a checkpoint replaces them")
