"""A real worker in a thread, with scripted ports around it."""

import threading
import time
from collections.abc import Callable

import numpy as np

from service.domain.capacity import Capacity, StepCurve, WorkerReport
from service.domain.digest import content_digest
from service.domain.execution import Execution
from service.domain.inputs import pack_inputs
from service.domain.job import ClaimedJob
from service.domain.request import GenerationRequest, OutputOptions, SamplingParams
from service.engine.preview import PreviewProjection
from service.engine.worker import Worker, WorkerPorts, WorkerTimes
from service.ports.backend import InferenceBackend
from service.ports.blobs import BlobStore
from service.ports.vectors import VectorCache
from service.telemetry.metrics import WorkerMetrics
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.memory_vectors import MemoryVectors
from xmdpt.presets import Preset

SLOTS = 4


def a_job(
    number: int,
    blobs: BlobStore | None,
    *,
    num_steps: int = 4,
    is_suspect: bool = False,
    num_images: int = 1,
    preset: Preset = Preset.EXACT,
) -> ClaimedJob:
    """A claimed job whose pictures are in the store, unless there is none to put them into."""
    photo, skeleton = (np.full(256 * 256 * 3, level, np.uint8).tobytes() for level in (number, 2 * number))
    job_id = f"job_{number:032x}"
    if blobs:
        blobs.put_input(job_id, pack_inputs(photo, skeleton))
    params = SamplingParams(seed=number, num_steps=num_steps, preset=preset)
    digests = content_digest(photo), content_digest(skeleton)
    request = GenerationRequest("tiny", params, OutputOptions(), *digests, num_images=num_images)
    return ClaimedJob(job_id, number, request, is_suspect, queue_seconds=0.1)


def a_report(execution: Execution = Execution.STEPWISE, slots: int = SLOTS) -> WorkerReport:
    """What a worker with this many slots says of itself; in low precision its calls have one row."""
    curve = StepCurve([(1, 0.001), (SLOTS, 0.002)])
    capacity = Capacity(curve, {}, execution, min(slots, SLOTS), slots, max_low_batch=1)
    return WorkerReport("worker", "fake", "sha256:fake", capacity)


def a_worker(
    leases: FakeLeases,
    blobs: BlobStore,
    backend: InferenceBackend,
    drain_seconds: float = 5,
    execution: Execution = Execution.STEPWISE,
    metrics: WorkerMetrics | None = None,
    vectors: VectorCache | None = None,
    slots: int = SLOTS,
) -> Worker:
    """A worker that nobody has started."""
    times = WorkerTimes(0.02, lease_seconds=2, drain_seconds=drain_seconds, max_turn_seconds=5)
    ports = WorkerPorts(leases, blobs, vectors or MemoryVectors(), leases, leases)
    projection = PreviewProjection(np.zeros((5, 3), np.float32))
    return Worker(backend, ports, a_report(execution, slots), projection, times, metrics or WorkerMetrics("test"))


def run_until_idle(
    leases: FakeLeases,
    blobs: BlobStore,
    backend: InferenceBackend,
    drain_seconds: float = 5,
    execution: Execution = Execution.STEPWISE,
    vectors: VectorCache | None = None,
    metrics: WorkerMetrics | None = None,
    slots: int = SLOTS,
) -> WorkerMetrics:
    """Run a worker in a thread until it has nothing left, then stop it; what it has counted."""
    metrics = metrics or WorkerMetrics("test")
    worker = a_worker(leases, blobs, backend, drain_seconds, execution, metrics, vectors, slots)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert leases.is_idle.wait(20)
    finally:
        worker.stop()
        thread.join(20)
    assert not thread.is_alive()
    return metrics


def until_arrived(metrics: WorkerMetrics, num_jobs: int) -> Callable[[int, int], None]:
    """A fault of the first graph that runs: it lasts until so many jobs are on their way to the device."""

    def wait(rows: int, index: int) -> None:
        give_up_at = time.monotonic() + 20
        while index == 0 and num_arrived(metrics) < num_jobs:
            assert time.monotonic() < give_up_at, "they never came"
            threading.Event().wait(0.01)

    return wait


def num_arrived(metrics: WorkerMetrics) -> float:
    """Jobs whose pictures have been read, and which the device has been told of before that was counted."""
    labels = {"stage": "decode_input"}
    return metrics.registry.get_sample_value("xmdpt_stage_duration_seconds_count", labels) or 0.0
