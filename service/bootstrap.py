"""The composition root: alone names adapters, and alone turns settings into the plain values that parts take.

It decides nothing else; each `run_*` returns when a signal has asked for it.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.file_blobs import FileBlobs
from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_queue import RedisJobIntake, RedisJobLeases, RedisJobUpkeep
from service.adapters.redis_server import check_server, connect, load_functions
from service.api.app import create_app
from service.api.dependencies import GatewayServices
from service.api.limits import UploadLimits, WaitLimits
from service.domain.errors import ConfigurationError
from service.engine.warmup import warm_up
from service.engine.worker import Worker, WorkerLimits
from service.gateway.jobs import Jobs
from service.gateway.models import ServedModel
from service.gateway.readiness import Readiness
from service.gateway.upkeep import Upkeep
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from service.settings import Settings
from service.telemetry.logs import configure_logs, get_logger
from service.telemetry.metrics import GatewayMetrics, WorkerMetrics
from service.telemetry.ops_server import OpsServer

_VERSION = version("xmdpt-serve")
# An idle connection is closed after this long; a client that reuses it later simply connects again.
_KEEP_ALIVE_SECONDS = 75
# At a stop, answers in flight get this long.
_GOODBYE_SECONDS = 5


def run_gateway(settings: Settings) -> None:
    """Serve HTTP until SIGTERM or SIGINT.

    Raises:
        ModelRepositoryError: the model repository is not what its manifest says.
        ConfigurationError: no queue is named, or it could lose jobs.
        StorageError: the queue does not answer.
    """
    _stop_quietly_on_sigterm()
    configure_logs("gateway", settings.log_level, settings.log_format)
    repository = open_model_repository(settings.model_repository)
    model = ServedModel(
        repository.variant.name, repository.model_digest, repository.is_trained, repository.weights_origin
    )
    _prepare_queue(settings)
    policy, keys = _queue_policy(settings), RedisKeys(settings.queue.prefix)
    blobs = FileBlobs(settings.data_dir / "blobs")
    intake = RedisJobIntake(settings.redis_url, keys, policy)
    queue_upkeep = RedisJobUpkeep(settings.redis_url, keys, policy)
    upkeep = Upkeep(queue_upkeep, blobs, policy.lease_seconds)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        task = asyncio.create_task(upkeep.run(), name="upkeep")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await intake.aclose()
        await queue_upkeep.aclose()

    edge = settings.gateway
    app = create_app(
        GatewayServices(Jobs(intake, blobs, model), Readiness(intake, blobs), model, GatewayMetrics(_VERSION)),
        UploadLimits(
            max_body_bytes=edge.max_body_bytes,
            max_picture_bytes=edge.max_picture_bytes,
            max_side_px=edge.max_side_px,
            max_pixels=edge.max_pixels,
        ),
        WaitLimits(edge.default_wait_seconds, edge.max_wait_seconds),
        lifespan,
    )
    _say_what_is_served(model)
    uvicorn.run(
        app,
        host=edge.host,
        port=edge.port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=edge.max_connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )


def run_worker(settings: Settings) -> None:
    """Run jobs until SIGTERM or SIGINT, then drain; a second signal hands everything back at once.

    Raises:
        ModelRepositoryError: a graph is missing, damaged or not of the contract.
        BackendError: a graph can't run.
        ConfigurationError: no queue is named, or it could lose jobs.
        StorageError: the queue does not answer.
    """
    _stop_quietly_on_sigterm()
    configure_logs("worker", settings.log_level, settings.log_format)
    repository = open_model_repository(settings.model_repository)
    _prepare_queue(settings)
    own, policy = settings.worker, _queue_policy(settings)
    backend = OnnxBackend(repository, own.num_threads)
    warm_up(backend, own.max_batch)
    metrics = WorkerMetrics(_VERSION)
    leases = RedisJobLeases(settings.redis_url, RedisKeys(settings.queue.prefix), policy)
    worker = Worker(
        backend,
        leases,
        FileBlobs(settings.data_dir / "blobs"),
        Scheduler(BatchPolicy(max_batch=own.max_batch, max_slots=own.max_slots)),
        WorkerLimits(
            max_slots=own.max_slots,
            heartbeat_seconds=own.heartbeat_seconds,
            lease_seconds=policy.lease_seconds,
            drain_seconds=own.drain_seconds,
            max_turn_seconds=policy.stall_timeout_seconds,
        ),
        metrics,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    ops = OpsServer(own.ops_host, own.ops_port, metrics.registry, lambda: worker.is_alive, lambda: worker.is_ready)
    get_logger().info(
        "working", model=backend.variant, digest=backend.model_digest, runtime=backend.runtime, ops_port=ops.port
    )
    try:
        worker.run()
    finally:
        ops.stop()
        leases.close()


@contextmanager
def embedded_queue(settings: Settings) -> Iterator[str]:
    """REDIS_URL for the children: the configured server, or a Valkey of our own until the block ends."""
    if settings.redis_url:
        yield settings.redis_url
        return
    valkey = EmbeddedValkey(settings.data_dir / "queue")
    valkey.start()
    try:
        yield valkey.url
    finally:
        valkey.stop()


def _prepare_queue(settings: Settings) -> None:
    """Refuse an unsafe server, and load the functions that this version needs."""
    if not settings.redis_url:
        msg = "REDIS_URL is not set: name a Redis or Valkey, or run `xmdpt-serve all`, which brings its own"
        raise ConfigurationError(msg)
    client = connect(settings.redis_url)
    try:
        warning = check_server(client, allow_unsafe=settings.queue.allow_unsafe_server)
        if warning:
            get_logger().warning(warning)
        load_functions(client)
    finally:
        client.close()


def _queue_policy(settings: Settings) -> QueuePolicy:
    queue = settings.queue
    return QueuePolicy(
        lease_seconds=queue.lease_seconds,
        max_deliveries=queue.max_deliveries,
        max_failures=queue.max_failures,
        stall_timeout_seconds=queue.stall_timeout_seconds,
        max_live=queue.max_live,
        retention_seconds=queue.retention_seconds,
    )


def _say_what_is_served(model: ServedModel) -> None:
    log = get_logger()
    log.info("serving", model=model.name, digest=model.digest, weights=model.weights_origin)
    if not model.is_trained:
        log.warning("the weights are untrained: every picture is noise until a checkpoint replaces them")


def _stop_quietly_on_sigterm() -> None:
    """End with status 0 if SIGTERM comes before, or again after, the process has a handler of its own.

    uvicorn raises the signal once more when it has stopped.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
