"""A worker whose jobs take all their steps in one call: the same pictures, figures and manners as step by step."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.adapters.file_blobs import FileBlobs
from service.domain.errors import BackendError, ResourceExhaustedError
from service.domain.execution import Execution
from service.domain.job import ClaimedJob, Progress
from service.telemetry.metrics import WorkerMetrics
from tests.fakes.fake_backend import FakeBackend
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.running_worker import a_job, a_worker, run_until_idle, until_arrived


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path)


def run_loops(leases: FakeLeases, blobs: FileBlobs, backend: FakeBackend) -> WorkerMetrics:
    return run_until_idle(leases, blobs, backend, execution=Execution.WHOLE_LOOP)


def loops(backend: FakeBackend) -> list[int]:
    """Rows of each loop, in order."""
    return [rows for graph, rows in backend.calls if graph == "sampler"]


def total(metrics: WorkerMetrics, name: str) -> float:
    value = metrics.registry.get_sample_value(name)
    assert value is not None
    return value


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.001)


def test_worker_when_loops_are_whole_then_pictures_and_figures_are_those_of_steps(tmp_path: Path) -> None:
    steps = (2, 5, 5, 9)
    pictures, counted = [], []
    for execution in Execution:
        blobs, backend = FileBlobs(tmp_path / execution), FakeBackend()
        jobs = [a_job(number, blobs, num_steps=count) for number, count in enumerate(steps, 1)]

        metrics = run_until_idle(FakeLeases(jobs), blobs, backend, execution=execution)

        counted.append(total(metrics, "xmdpt_steps_total"))
        pictures.append([blobs.get_output(job.id, job.fence) for job in jobs])
        called = {graph for graph, _ in backend.calls} & {"tdnet_step", "sampler"}
        assert called == {"sampler" if execution is Execution.WHOLE_LOOP else "tdnet_step"}

    assert pictures[0] == pictures[1]
    assert len(set(pictures[0])) == len(steps), "each job has a picture of its own"
    assert counted == [sum(steps)] * 2


def test_worker_when_equal_numbers_of_steps_wait_then_they_share_a_loop_and_others_do_not(blobs: FileBlobs) -> None:
    metrics = WorkerMetrics("test")
    backend = FakeBackend({"source_encoder": until_arrived(metrics, 4)})
    jobs = [a_job(number, blobs, num_steps=count) for number, count in enumerate((5, 9, 5, 5), 1)]

    run_until_idle(FakeLeases(jobs), blobs, backend, execution=Execution.WHOLE_LOOP, metrics=metrics)

    assert loops(backend) == [3, 1]
    # A histogram of steps: five that three rows shared, nine of one row.
    assert total(metrics, "xmdpt_step_batch_rows_count") == 5 + 9
    assert total(metrics, "xmdpt_step_batch_rows_sum") == 3 * 5 + 9
    assert metrics.registry.get_sample_value("xmdpt_stage_duration_seconds_count", {"stage": "sampler"}) == 2


def test_worker_when_a_loop_runs_then_the_queue_hears_of_no_step_before_all_of_them(blobs: FileBlobs) -> None:
    job = a_job(1, blobs, num_steps=30)
    leases = FakeLeases([job])

    def until_told(stage: str) -> Callable[[int, int], None]:
        return lambda rows, index: wait_until(lambda: stage in [told.stage for told in leases.progress.get(job.id, [])])

    faults = {graph: until_told(graph) for graph in ("sampler", "vae_decoder")}
    run_loops(leases, blobs, FakeBackend(faults))

    told = leases.progress[job.id]
    assert Progress("sampler", 0) in told
    assert told[-1] == Progress("vae_decoder", 30)
    assert {progress.step for progress in told} == {0, 30}


def test_worker_when_one_row_of_a_loop_is_not_finite_then_only_its_job_fails(blobs: FileBlobs) -> None:
    jobs = [a_job(number, blobs) for number in (1, 2, 3)]
    leases = FakeLeases(jobs)

    class PoisonedByOne(FakeBackend):
        def sample(self, noise, condition, timesteps, guidance, coefficients):
            latents = super().sample(noise, condition, timesteps, guidance, coefficients)
            latents[condition[:, 0] == 2 - 4] = np.nan  # photo 2, skeleton 4
            return latents

    run_loops(leases, blobs, PoisonedByOne())

    assert leases.succeeded.keys() == {jobs[0].id, jobs[2].id}
    assert leases.failed[jobs[1].id][0].code == "backend_error"


def test_worker_when_the_device_is_too_small_for_a_loop_then_fewer_share_it(blobs: FileBlobs) -> None:
    def full_above_two(rows: int, index: int) -> None:
        if rows > 2:
            raise ResourceExhaustedError("scripted")

    leases, metrics = FakeLeases([a_job(number, blobs) for number in range(1, 5)]), WorkerMetrics("test")
    backend = FakeBackend({"sampler": full_above_two, "source_encoder": until_arrived(metrics, 4)})

    run_until_idle(leases, blobs, backend, execution=Execution.WHOLE_LOOP, metrics=metrics)

    assert len(leases.succeeded) == 4
    assert loops(backend)[0] == 4
    assert set(loops(backend)[1:]) <= {1, 2, 3}


def test_worker_when_a_loop_raises_once_then_it_starts_again_from_the_same_noise(tmp_path: Path) -> None:
    def first_call(rows: int, index: int) -> None:
        if index == 0:
            raise BackendError("backend_error", "scripted")

    def picture(name: str, faults: dict[str, Callable[[int, int], None]]) -> tuple[bytes, float]:
        blobs = FileBlobs(tmp_path / name)
        job = a_job(1, blobs)
        metrics = run_loops(FakeLeases([job]), blobs, FakeBackend(faults))
        return blobs.get_output(job.id, job.fence), total(metrics, "xmdpt_steps_total")

    assert picture("faulty", {"sampler": first_call}) == picture("sound", {})


@pytest.mark.parametrize(("drain_seconds", "is_finished"), [(0, False), (60, True)])
def test_worker_when_stopped_in_a_loop_then_the_job_ends_or_goes_back_after_it(
    blobs: FileBlobs, drain_seconds: float, is_finished: bool
) -> None:
    job = a_job(1, blobs)
    leases = FakeLeases([job])

    is_in_loop, is_stopped = threading.Event(), threading.Event()

    def until_stopped(rows: int, index: int) -> None:
        is_in_loop.set()
        assert is_stopped.wait(20)

    backend = FakeBackend({"sampler": until_stopped})
    worker = a_worker(leases, blobs, backend, drain_seconds, Execution.WHOLE_LOOP)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert is_in_loop.wait(20)
    finally:
        worker.stop()
        is_stopped.set()
        thread.join(20)

    assert not thread.is_alive()
    assert list(leases.succeeded) == [job.id] * is_finished
    assert leases.released == [job.id] * (not is_finished)


def test_worker_when_a_lease_is_lost_in_a_loop_then_the_job_is_dropped_after_it(blobs: FileBlobs) -> None:
    job, other = (a_job(number, blobs, num_steps=4 + number) for number in (1, 2))
    leases = FakeLeases([job, other])

    def num_told(of: ClaimedJob) -> int:
        return len(leases.progress.get(of.id, []))

    def lose_the_first(rows: int, index: int) -> None:
        if index == 0:
            leases.lost = {job.id}
            # Once the heartbeat goes on without it, it has taken in the answer.
            wait_until(lambda: num_told(other) > num_told(job) + 1)

    backend = FakeBackend({"sampler": lose_the_first})
    run_loops(leases, blobs, backend)

    assert (list(leases.succeeded), leases.failed, leases.released) == ([other.id], {}, [])
    assert loops(backend) == [1, 1]
    assert [rows for graph, rows in backend.calls if graph == "vae_decoder"] == [1]
