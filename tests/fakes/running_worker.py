"""A real worker in a thread, with scripted ports around it."""

import threading

import numpy as np

from service.domain.digest import content_digest
from service.domain.execution import Execution
from service.domain.inputs import pack_inputs
from service.domain.job import ClaimedJob
from service.domain.request import GenerationRequest, OutputOptions, SamplingParams
from service.engine.worker import Worker, WorkerLimits
from service.ports.backend import InferenceBackend
from service.ports.blobs import BlobStore
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from service.telemetry.metrics import WorkerMetrics
from tests.fakes.fake_leases import FakeLeases

SLOTS = 4


def a_job(number: int, blobs: BlobStore | None, *, num_steps: int = 4, is_suspect: bool = False) -> ClaimedJob:
    """A claimed job whose pictures are in the store, unless there is none to put them into."""
    photo, skeleton = (np.full(256 * 256 * 3, level, np.uint8).tobytes() for level in (number, 2 * number))
    job_id = f"job_{number:032x}"
    if blobs:
        blobs.put_input(job_id, pack_inputs(photo, skeleton))
    params = SamplingParams(seed=number, num_steps=num_steps)
    request = GenerationRequest("tiny", params, OutputOptions(), content_digest(photo), content_digest(skeleton))
    return ClaimedJob(job_id, number, request, is_suspect, queue_seconds=0.1)


def a_worker(
    leases: FakeLeases,
    blobs: BlobStore,
    backend: InferenceBackend,
    drain_seconds: float = 5,
    execution: Execution = Execution.STEPWISE,
    metrics: WorkerMetrics | None = None,
) -> Worker:
    """A worker that nobody has started."""
    limits = WorkerLimits(SLOTS, 0.02, lease_seconds=2, drain_seconds=drain_seconds, max_turn_seconds=5)
    scheduler = Scheduler(BatchPolicy(max_batch=SLOTS, max_slots=SLOTS), execution)
    return Worker(backend, leases, blobs, scheduler, limits, metrics or WorkerMetrics("test"))


def run_until_idle(
    leases: FakeLeases,
    blobs: BlobStore,
    backend: InferenceBackend,
    drain_seconds: float = 5,
    execution: Execution = Execution.STEPWISE,
) -> WorkerMetrics:
    """Run a worker in a thread until it has nothing left, then stop it; what it has counted."""
    metrics = WorkerMetrics("test")
    worker = a_worker(leases, blobs, backend, drain_seconds, execution, metrics)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert leases.is_idle.wait(20)
    finally:
        worker.stop()
        thread.join(20)
    assert not thread.is_alive()
    return metrics
