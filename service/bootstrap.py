"""The composition root: puts adapters behind ports, and alone turns settings into the plain values that parts take.

It decides nothing else; each `run_*` returns when a signal has asked for it.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.file_blobs import FileBlobs
from service.adapters.model_repository import ModelRepository, open_model_repository
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_queue import RedisJobIntake, RedisJobLeases, RedisJobUpkeep
from service.adapters.redis_server import check_server, connect, load_functions
from service.adapters.task_end import end_task
from service.api.app import create_app
from service.api.dependencies import GatewayServices
from service.api.limits import UploadLimits, WaitLimits
from service.domain.errors import ConfigurationError
from service.domain.execution import Execution
from service.engine.warmup import stall_warning, warm_up
from service.engine.worker import Worker, WorkerLimits
from service.gateway.jobs import Jobs
from service.gateway.models import ServedModel
from service.gateway.readiness import Readiness
from service.gateway.upkeep import Upkeep
from service.ports.backend import InferenceBackend
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from service.settings import Settings, WorkerSettings
from service.telemetry.logs import configure_logs, get_logger
from service.telemetry.metrics import GatewayMetrics, WorkerMetrics
from service.telemetry.ops_server import OpsServer

_VERSION = version("xmdpt-serve")
# An idle connection is closed after this long; a client that reuses it later simply connects again.
_KEEP_ALIVE_SECONDS = 75
# Connections that wait to be accepted.
_BACKLOG = 2048
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
    repository = _open_repository(settings)
    model = ServedModel(
        repository.variant.name, repository.model_digest, repository.is_trained, repository.weights_origin
    )
    _prepare_queue(settings)
    policy, keys = _queue_policy(settings), RedisKeys(settings.queue.prefix)
    blobs = FileBlobs(settings.data_dir / "blobs")
    intake = RedisJobIntake(settings.redis_url, keys, policy)
    queue_upkeep = RedisJobUpkeep(settings.redis_url, keys, policy)
    metrics = GatewayMetrics(_VERSION)
    upkeep = Upkeep(queue_upkeep, blobs, policy.lease_seconds, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        task = asyncio.create_task(upkeep.run(), name="upkeep")
        try:
            yield
        finally:
            await end_task(task)
            await intake.aclose()
            await queue_upkeep.aclose()

    edge = settings.gateway
    app = create_app(
        GatewayServices(Jobs(intake, blobs, model), Readiness(intake, blobs), model, metrics),
        UploadLimits(
            max_body_bytes=edge.max_body_bytes,
            max_picture_bytes=edge.max_picture_bytes,
            max_side_px=edge.max_side_px,
            max_pixels=edge.max_pixels,
        ),
        WaitLimits(edge.default_wait_seconds, edge.max_wait_seconds),
        lifespan,
    )
    listener = _listen(edge.host, edge.port)
    _say_what_is_served(model, listener)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=edge.max_connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


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
    own, policy = settings.worker, _queue_policy(settings)
    metrics = WorkerMetrics(_VERSION)
    worker: Worker | None = None
    ops = _serve_operators(
        own, metrics, lambda: worker is None or worker.is_alive, lambda: worker is not None and worker.is_ready
    )
    repository = _open_repository(settings)
    _prepare_queue(settings)
    backend = _open_backend(settings, repository)
    warm_up(backend, own.max_batch, own.execution)
    if own.execution is Execution.WHOLE_LOOP:
        warning = stall_warning(backend, own.max_batch, policy.stall_timeout_seconds)
        if warning:
            get_logger().warning(warning)
    leases = RedisJobLeases(settings.redis_url, RedisKeys(settings.queue.prefix), policy)
    worker = Worker(
        backend,
        leases,
        FileBlobs(settings.data_dir / "blobs"),
        Scheduler(BatchPolicy(max_batch=own.max_batch, max_slots=own.max_slots), own.execution),
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
    get_logger().info(
        "working",
        model=backend.variant,
        digest=backend.model_digest,
        runtime=backend.runtime,
        execution=own.execution,
        ops_port=ops.port,
    )
    try:
        worker.run()
    finally:
        ops.stop()
        leases.close()


@contextmanager
def embedded_queue(settings: Settings) -> Iterator[EmbeddedValkey | None]:
    """A Valkey of our own until the block ends; None if the settings name a server."""
    if settings.redis_url:
        yield None
        return
    valkey = EmbeddedValkey(settings.data_dir / "queue")
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.stop()


def _open_repository(settings: Settings) -> ModelRepository:
    return open_model_repository(settings.model_repository, has_files=settings.backend == "onnx")


def _open_backend(settings: Settings, repository: ModelRepository) -> InferenceBackend:
    """The runtime that the settings name; only its own library is imported, so that the other one may be absent."""
    own, triton = settings.worker, settings.triton
    try:
        if settings.backend == "triton":
            from service.adapters.triton_backend import TritonBackend
            from service.adapters.triton_channel import TritonEndpoint
        else:
            from service.adapters.onnx_backend import OnnxBackend
    except (ImportError, RuntimeError) as error:  # RuntimeError: tritonclient without gRPC
        extra = {"onnx": "cpu", "triton": "triton"}[settings.backend]
        msg = f"XMDPT_BACKEND={settings.backend}: {error}; install xmdpt-serve[{extra}]"
        raise ConfigurationError(" ".join(msg.split())) from None
    if settings.backend == "onnx":
        return OnnxBackend(repository, own.num_threads, own.execution)
    server = TritonEndpoint(
        triton.url, triton.timeout_seconds, triton.startup_seconds, triton.tls, triton.root_certificates
    )
    return TritonBackend(repository, server, own.execution)


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


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        variables = "XMDPT_GATEWAY__HOST and XMDPT_GATEWAY__PORT"
        raise ConfigurationError(f"can't listen on {host} port {port}: {error.strerror}; change {variables}") from None


def _serve_operators(
    own: WorkerSettings, metrics: WorkerMetrics, is_alive: Callable[[], bool], is_ready: Callable[[], bool]
) -> OpsServer:
    try:
        return OpsServer(own.ops_host, own.ops_port, metrics.registry, is_alive, is_ready)
    except OSError as error:
        place, variables = f"{own.ops_host} port {own.ops_port}", "XMDPT_WORKER__OPS_HOST and XMDPT_WORKER__OPS_PORT"
        raise ConfigurationError(f"can't listen on {place}: {error.strerror}; change {variables}") from None


def _say_what_is_served(model: ServedModel, listener: socket.socket) -> None:
    log = get_logger()
    host, port = listener.getsockname()[:2]
    log.info("serving", host=host, port=port, model=model.name, digest=model.digest, weights=model.weights_origin)
    if not model.is_trained:
        log.warning("the weights are untrained: every picture is noise until a checkpoint replaces them")


def _stop_quietly_on_sigterm() -> None:
    """End with status 0 if SIGTERM comes before, or again after, the process has a handler of its own.

    uvicorn raises the signal once more when it has stopped.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
