"""The worker's process."""

import signal
import time
import uuid
from collections.abc import Callable

from service.adapters.gpu_memory import open_gpu
from service.adapters.queue_calls import listen_to_calls
from service.adapters.queue_functions import RedisQueueFunctions
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_leases import RedisJobLeases
from service.adapters.redis_vectors import RedisVectorCache
from service.adapters.redis_workers import RedisWorkerAnnouncements
from service.bootstrap.backend import measure, open_backend
from service.bootstrap.process import VERSION, share_the_interpreter, stop_quietly_on_sigterm
from service.bootstrap.queue import prepare_queue, queue_policy
from service.bootstrap.stores import open_stores
from service.bootstrap.tracing import open_tracer
from service.domain.capacity import WorkerReport
from service.domain.errors import ConfigurationError
from service.engine.preview import fit_preview
from service.engine.worker import Worker, WorkerPorts, WorkerTimes
from service.settings import Settings, WorkerSettings
from service.telemetry.logs import configure_logs, get_logger
from service.telemetry.metrics import WorkerMetrics
from service.telemetry.ops_server import OpsServer
from xmdpt.spec import VARIANTS


def run_worker(settings: Settings) -> None:
    """Run jobs until SIGTERM or SIGINT, then drain; a second signal hands everything back at once.

    Raises:
        ModelRepositoryError: a graph is missing, damaged or not of the contract.
        BackendError: a graph can't run.
        ConfigurationError: no queue is named, or it could lose jobs.
        StorageError: the queue or the picture store does not answer.
    """
    began = time.monotonic()
    stop_quietly_on_sigterm()
    share_the_interpreter()
    configure_logs("worker", settings.log_level, settings.log_format)
    tracer = open_tracer(settings.tracing, "worker")
    own, policy = settings.worker, queue_policy(settings)
    metrics = WorkerMetrics(VERSION)
    worker: Worker | None = None
    ops = _serve_operators(
        own, metrics, lambda: worker is None or worker.is_alive, lambda: worker is not None and worker.is_ready
    )
    backend = open_backend(settings)
    # Other backends than ONNX Runtime's have no device of their own.
    gpu = open_gpu() if getattr(backend, "device", None) == "cuda" else None
    if gpu:
        metrics.tell_gpu(gpu.memory_bytes)
    prepare_queue(settings)
    keys = RedisKeys(settings.queue.prefix)
    leases = RedisJobLeases(settings.redis_url, keys, policy, own.name)
    if num_buried := leases.bury_predecessor(time.monotonic() - began):
        get_logger().warning("took over from an ended worker", name=own.name, jobs=num_buried)
    capacity = measure(settings, backend)
    metrics.tell_model(backend.variant)
    metrics.tell_capacity(capacity)
    listen_to_calls(metrics.note_call)
    vectors = RedisVectorCache(
        settings.redis_url,
        keys,
        vector_size=VARIANTS[backend.variant].width,
        max_entries=settings.queue.max_vectors,
        lock_seconds=policy.lease_seconds,
    )
    announcements, functions = (
        RedisWorkerAnnouncements(settings.redis_url, keys),
        RedisQueueFunctions(settings.redis_url),
    )
    worker = Worker(
        backend,
        WorkerPorts(leases, open_stores(settings).blobs, vectors, announcements, functions),
        WorkerReport(uuid.uuid4().hex, backend.runtime, backend.model_digest, capacity),
        fit_preview(backend),
        WorkerTimes(
            heartbeat_seconds=settings.heartbeat_seconds,
            lease_seconds=policy.lease_seconds,
            drain_seconds=own.drain_seconds,
            max_turn_seconds=policy.stall_timeout_seconds,
        ),
        metrics,
        f"xmdpt-serve {VERSION}" if own.provenance else None,
        tracer,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    get_logger().info(
        "working",
        model=backend.variant,
        digest=backend.model_digest,
        runtime=backend.runtime,
        execution=capacity.execution,
        batch=capacity.max_batch,
        slots=capacity.num_slots,
        ops_port=ops.port,
    )
    try:
        worker.run()
    finally:
        ops.stop()
        for client in (leases, vectors, announcements, functions):
            client.close()
        if tracer is not None:
            tracer.close()


def _serve_operators(
    own: WorkerSettings, metrics: WorkerMetrics, is_alive: Callable[[], bool], is_ready: Callable[[], bool]
) -> OpsServer:
    try:
        return OpsServer(own.ops_host, own.ops_port, metrics.registry, is_alive, is_ready)
    except OSError as error:
        place, variables = f"{own.ops_host} port {own.ops_port}", "XMDPT_WORKER__OPS_HOST and XMDPT_WORKER__OPS_PORT"
        raise ConfigurationError(f"can't listen on {place}: {error.strerror}; change {variables}") from None
