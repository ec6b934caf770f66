"""The worker's loop over a scripted backend and a scripted queue."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.file_blobs import FileBlobs
from service.domain.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ResourceExhaustedError,
    StorageError,
)
from service.domain.execution import Execution
from service.domain.inputs import pack_inputs
from service.domain.job import JobFailure, Priority
from service.domain.result import JobResult
from service.telemetry.metrics import WorkerMetrics
from tests.fakes.fake_backend import FakeBackend
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_worker import a_job, a_worker, run_until_idle, until_arrived
from xmdpt.presets import Preset


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path)


def test_worker_when_jobs_wait_then_each_is_committed_once_with_its_file(blobs: FileBlobs) -> None:
    jobs = [a_job(number, blobs, num_steps=2 + number) for number in range(1, 8)]
    leases = FakeLeases(jobs)

    run_until_idle(leases, blobs, FakeBackend())

    assert leases.succeeded.keys() == {job.id for job in jobs}
    for job in jobs:
        result = leases.succeeded[job.id]
        assert len(blobs.get_output(job.id, job.fence)) == result.files[0].num_bytes
        assert list(result.stage_seconds)[:2] == ["queue", "decode_input"]


class WithLowStep(FakeBackend):
    low_precision = "int8"


class WithLowGraphs(WithLowStep):
    has_low_decoder = True


@pytest.mark.parametrize("kind", [WithLowStep, WithLowGraphs])
@pytest.mark.parametrize("execution", Execution)
def test_worker_when_presets_differ_then_each_job_takes_the_graphs_of_its_own_precision_that_there_are(
    blobs: FileBlobs, execution: Execution, kind: type[WithLowStep]
) -> None:
    presets = [Preset.EXACT, Preset.FAST, Preset.DRAFT, Preset.EXACT]
    jobs = [a_job(number, blobs, preset=preset) for number, preset in enumerate(presets, 1)]
    leases, backend, metrics = FakeLeases(jobs), kind(), WorkerMetrics("test")
    alone = []
    for job in jobs:
        run_until_idle(FakeLeases([job]), blobs, kind(), execution=execution)
        alone.append(blobs.get_output(job.id, job.fence))

    run_until_idle(leases, blobs, backend, execution=execution, metrics=metrics)

    assert [leases.succeeded[job.id].precision for job in jobs] == ["fp32", "int8", "int8", "fp32"]
    assert [blobs.get_output(job.id, job.fence) for job in jobs] == alone
    rows = {graph: sum(rows for name, rows in backend.calls if name == graph) for graph, _ in backend.calls}
    assert rows["tdnet_step_low"] == 8
    assert {rows for graph, rows in backend.calls if graph.endswith("_low")} == {1}
    assert rows.get("tdnet_step", 0) + 4 * rows.get("sampler", 0) == 8
    assert (rows["vae_decoder"], rows.get("vae_decoder_low", 0)) == ((2, 2) if kind.has_low_decoder else (4, 0))
    decoders = ["vae_decoder_low" in leases.succeeded[job.id].stage_seconds for job in jobs]
    assert decoders == [False, kind.has_low_decoder, kind.has_low_decoder, False]
    assert metrics.registry.get_sample_value("xmdpt_steps_total") == 16


def test_worker_when_its_model_has_no_low_precision_then_a_draft_is_exact_and_fast_fails_with_its_code(
    blobs: FileBlobs,
) -> None:
    fast, draft = (a_job(number, blobs, preset=preset) for number, preset in ((1, Preset.FAST), (2, Preset.DRAFT)))
    leases, backend = FakeLeases([fast, draft]), FakeBackend()

    run_until_idle(leases, blobs, backend)

    assert leases.succeeded[draft.id].precision == "fp32"
    assert leases.failed[fast.id][0].code == "unavailable_preset"
    assert "tdnet_step_low" not in dict(backend.calls)


@pytest.mark.parametrize("output", ["latents", "denoised"])
def test_worker_when_one_row_is_not_finite_then_only_its_job_fails(blobs: FileBlobs, output: str) -> None:
    jobs = [a_job(number, blobs) for number in (1, 2, 3)]
    leases = FakeLeases(jobs)

    class PoisonedByOne(FakeBackend):
        def denoise_step(self, latents, previous_denoised, condition, timestep, guidance, coefficients):
            moved, denoised = super().denoise_step(
                latents, previous_denoised, condition, timestep, guidance, coefficients
            )
            poisoned = moved if output == "latents" else denoised
            poisoned[condition[:, 0] == 2 - 4] = np.nan  # photo 2, skeleton 4
            return moved, denoised

    run_until_idle(leases, blobs, PoisonedByOne())

    assert leases.succeeded.keys() == {jobs[0].id, jobs[2].id}
    assert leases.failed[jobs[1].id][0].code == "backend_error"


def test_worker_when_the_device_is_full_then_smaller_batches_do_it(blobs: FileBlobs) -> None:
    def full_above_two(rows: int, index: int) -> None:
        if rows > 2:
            raise ResourceExhaustedError("scripted")

    leases = FakeLeases([a_job(number, blobs) for number in range(1, 5)])

    run_until_idle(leases, blobs, FakeBackend({"tdnet_step": full_above_two}))

    assert len(leases.succeeded) == 4


def test_worker_when_a_graph_raises_once_then_the_job_still_succeeds(blobs: FileBlobs) -> None:
    def first_call(rows: int, index: int) -> None:
        if index == 0:
            raise BackendError("backend_error", "scripted")

    leases = FakeLeases([a_job(1, blobs)])

    run_until_idle(leases, blobs, FakeBackend({"vae_decoder": first_call}))

    assert len(leases.succeeded) == 1


def test_worker_when_a_step_raises_once_then_it_alone_is_taken_again(blobs: FileBlobs) -> None:
    def fourth_call(rows: int, index: int) -> None:
        if index == 3:
            raise BackendError("backend_error", "scripted")

    job = a_job(1, blobs, num_steps=6)
    undisturbed, leases, backend = FakeLeases([job]), FakeLeases([job]), FakeBackend({"tdnet_step": fourth_call})
    run_until_idle(undisturbed, blobs, FakeBackend())

    run_until_idle(leases, blobs, backend)

    assert leases.succeeded[job.id].files == undisturbed.succeeded[job.id].files
    # The one that failed, and one of zeros to see whether the device can do anything at all.
    assert backend.calls.count(("tdnet_step", 1)) == 6 + 2


def test_worker_when_the_device_goes_at_a_later_step_then_it_is_not_asked_again(blobs: FileBlobs) -> None:
    def fourth_call(rows: int, index: int) -> None:
        if index == 3:
            raise BackendUnavailableError("scripted")

    leases, backend = FakeLeases([a_job(1, blobs, num_steps=6)]), FakeBackend({"tdnet_step": fourth_call})
    worker = a_worker(leases, blobs, backend)

    with pytest.raises(BackendUnavailableError):
        worker.run()

    assert backend.calls.count(("tdnet_step", 1)) == 4
    assert len(leases.released) == 1


def test_worker_when_a_later_step_keeps_failing_then_the_job_has_as_many_attempts_as_at_the_first(
    blobs: FileBlobs,
) -> None:
    def fourth_step(rows: int, index: int) -> None:
        # Every second call is of zeros, to see whether the device can do anything at all.
        if index >= 3 and index % 2:
            raise BackendError("backend_error", "scripted")

    job = a_job(1, blobs, num_steps=6)
    leases, backend = FakeLeases([job]), FakeBackend({"tdnet_step": fourth_step})

    run_until_idle(leases, blobs, backend)

    assert list(leases.failed) == [job.id]
    assert backend.calls.count(("tdnet_step", 1)) == 3 + 2 * 3


def test_worker_when_the_drain_time_is_over_between_steps_then_the_job_goes_back(blobs: FileBlobs) -> None:
    def slow(rows: int, index: int) -> None:
        if index == 3:
            worker.stop()
        threading.Event().wait(0.01)

    leases, backend = FakeLeases([a_job(1, blobs, num_steps=250)]), FakeBackend({"tdnet_step": slow})
    worker = a_worker(leases, blobs, backend, drain_seconds=0.2)

    worker.run()

    assert len(leases.released) == 1


def test_worker_when_something_happens_at_a_step_then_it_is_heard_before_the_next(blobs: FileBlobs) -> None:
    def fourth_call(rows: int, index: int) -> None:
        if index == 3:
            worker.stop()

    leases, backend = FakeLeases([a_job(1, blobs, num_steps=50)]), FakeBackend({"tdnet_step": fourth_call})
    worker = a_worker(leases, blobs, backend, drain_seconds=0)

    worker.run()

    assert backend.calls.count(("tdnet_step", 1)) == 4
    assert len(leases.released) == 1


def test_worker_when_a_graph_answers_too_late_once_then_the_job_still_succeeds(blobs: FileBlobs) -> None:
    def first_call(rows: int, index: int) -> None:
        if index == 0:
            raise BackendTimeoutError("scripted")

    leases = FakeLeases([a_job(1, blobs)])

    run_until_idle(leases, blobs, FakeBackend({"tdnet_step": first_call}))

    assert len(leases.succeeded) == 1


@pytest.mark.parametrize("graph", ["source_encoder", "tdnet_step", "vae_decoder"])
def test_worker_when_the_device_is_gone_then_it_hands_back_every_job_unharmed_and_ends(
    blobs: FileBlobs, graph: str
) -> None:
    def gone(rows: int, index: int) -> None:
        raise BackendUnavailableError("scripted")

    jobs = [a_job(number, blobs) for number in (1, 2, 3)]
    leases = FakeLeases(jobs)
    worker = a_worker(leases, blobs, FakeBackend({graph: gone}))

    with pytest.raises(BackendUnavailableError, match="scripted"):
        worker.run()

    assert sorted(leases.released) == [job.id for job in jobs]
    assert (leases.succeeded, leases.failed) == ({}, {})
    assert not worker.is_ready


def test_worker_when_the_device_goes_at_a_jobs_last_attempt_then_that_is_none(blobs: FileBlobs) -> None:
    def late_twice_then_gone(rows: int, index: int) -> None:
        raise BackendTimeoutError("scripted") if index < 2 else BackendUnavailableError("scripted")

    job = a_job(1, blobs)
    leases = FakeLeases([job])
    worker = a_worker(leases, blobs, FakeBackend({"tdnet_step": late_twice_then_gone}))

    with pytest.raises(BackendUnavailableError):
        worker.run()

    assert (leases.released, leases.failed) == ([job.id], {})


def test_worker_when_the_device_goes_after_a_stop_was_asked_for_then_it_hands_back_and_ends_well(
    blobs: FileBlobs,
) -> None:
    def stopped_then_gone(rows: int, index: int) -> None:
        worker.stop()
        raise BackendUnavailableError("scripted")

    job = a_job(1, blobs)
    leases = FakeLeases([job])
    worker = a_worker(leases, blobs, FakeBackend({"tdnet_step": stopped_then_gone}))

    worker.run()

    assert (leases.released, leases.failed) == ([job.id], {})


def test_worker_when_something_unforeseen_is_raised_then_the_job_fails_and_the_loop_goes_on(blobs: FileBlobs) -> None:
    def unforeseen(rows: int, index: int) -> None:
        if index < 10:
            raise ZeroDivisionError

    leases = FakeLeases([a_job(1, blobs)])

    run_until_idle(leases, blobs, FakeBackend({"canet": unforeseen}))

    assert [failure.code for failure, _ in leases.failed.values()] == ["internal_error"]


def test_worker_when_the_pictures_are_gone_then_the_job_fails_with_a_reason(blobs: FileBlobs) -> None:
    job = a_job(1, None)
    leases = FakeLeases([job])

    run_until_idle(leases, blobs, FakeBackend())

    failure, may_retry = leases.failed[job.id]
    assert (failure.code, may_retry) == ("input_lost", False)


def test_worker_when_the_pictures_were_changed_then_nothing_is_made_of_them(blobs: FileBlobs) -> None:
    job = a_job(1, blobs)
    blobs.put_input(job.id, pack_inputs(bytes(196_608), bytes(196_608)))
    leases = FakeLeases([job])

    run_until_idle(leases, blobs, FakeBackend())

    assert leases.failed[job.id][0].code == "input_lost"


def test_worker_when_a_job_breaks_its_reading_as_nobody_foresaw_then_it_fails_and_the_next_is_made(
    tmp_path: Path,
) -> None:
    class Broken(FileBlobs):
        def get_input(self, job_id: str) -> bytes:
            if job_id == jobs[0].id:
                raise RuntimeError("unforeseen")
            return super().get_input(job_id)

    blobs = Broken(tmp_path)
    jobs = [a_job(number, blobs) for number in (1, 2)]
    leases = FakeLeases(jobs)

    run_until_idle(leases, blobs, FakeBackend())

    assert list(leases.succeeded) == [jobs[1].id]
    (failure, may_retry) = leases.failed.pop(jobs[0].id)
    assert (failure.code, may_retry, leases.failed) == ("internal_error", True, {})


def test_worker_when_the_store_is_away_then_jobs_go_back_unharmed_and_no_more_are_claimed_for_a_while() -> None:
    blobs = MemoryBlobs()
    jobs = [a_job(number, blobs) for number in (1, 2, 3)]
    blobs.is_down = True
    leases = FakeLeases(jobs)

    metrics = run_until_idle(leases, blobs, FakeBackend())

    assert sorted(leases.released) == [job.id for job in jobs]
    assert (leases.succeeded, leases.failed) == ({}, {})
    assert (metrics.storage_errors._value.get(), metrics.redis_errors._value.get()) == (3, 0)


def test_worker_when_no_call_of_a_graph_works_any_more_then_it_hands_back_and_ends(blobs: FileBlobs) -> None:
    def broken(rows: int, index: int) -> None:
        raise BackendError("backend_error", "CUDA error: an illegal memory access was encountered")

    jobs = [a_job(number, blobs) for number in (1, 2)]
    leases = FakeLeases(jobs)
    worker = a_worker(leases, blobs, FakeBackend({"tdnet_step": broken}))

    with pytest.raises(BackendUnavailableError, match="tdnet_step"):
        worker.run()

    assert sorted(leases.released) == [job.id for job in jobs]
    assert leases.failed == {}


@pytest.mark.parametrize("part", ["claim", "heartbeat", "wait_for_news"])
def test_worker_when_one_of_its_threads_dies_then_it_hands_back_and_ends(blobs: FileBlobs, part: str) -> None:
    job = a_job(1, blobs, num_steps=250)

    class Broken(FakeLeases):
        num_calls = 0

        def __getattribute__(self, name: str) -> object:
            if name == part:
                self.num_calls += 1
                if self.num_calls > 1:
                    raise RuntimeError("unforeseen")
            return super().__getattribute__(name)

    def slow(rows: int, index: int) -> None:
        threading.Event().wait(0.01)

    leases = Broken([job])
    worker = a_worker(leases, blobs, FakeBackend({"tdnet_step": slow}))

    with pytest.raises(RuntimeError, match="unforeseen"):
        worker.run()

    # Nor is it lost if the thread died before it was claimed.
    left = {waiting.id for waiting in leases.waiting}
    assert leases.succeeded.keys() | set(leases.released) | left == {job.id}


def test_worker_when_a_job_can_not_be_delivered_for_unforeseen_reasons_then_it_leaves_all_the_same(
    blobs: FileBlobs,
) -> None:
    class Broken(FakeLeases):
        def succeed(self, job_id: str, result: JobResult) -> str:
            raise RuntimeError("unforeseen")

        def fail(self, job_id: str, fence: int, failure: JobFailure, *, may_retry: bool) -> str:
            raise RuntimeError("this neither")

    metrics = run_until_idle(Broken([a_job(1, blobs)]), blobs, FakeBackend())

    assert metrics.jobs.labels("lost")._value.get() == 1


def test_worker_when_the_result_is_fenced_then_its_file_is_deleted(blobs: FileBlobs, tmp_path: Path) -> None:
    job = a_job(1, blobs)
    leases = FakeLeases([job])
    leases.fenced = {job.id}

    run_until_idle(leases, blobs, FakeBackend())

    assert list((tmp_path / "out").glob("*/*")) == []


def test_worker_when_the_queue_is_away_for_a_moment_then_the_result_is_told_later(blobs: FileBlobs) -> None:
    leases = FakeLeases([a_job(1, blobs)])

    def outage(rows: int, index: int) -> None:
        leases.outages = 3

    run_until_idle(leases, blobs, FakeBackend({"vae_decoder": outage}))

    assert len(leases.succeeded) == 1


def test_worker_when_a_lease_is_lost_then_the_job_is_dropped_without_a_word(blobs: FileBlobs) -> None:
    job = a_job(1, blobs, num_steps=250)
    leases = FakeLeases([job])
    leases.lost = {job.id}

    class Slow(FakeBackend):
        def denoise_step(self, *arrays):
            threading.Event().wait(0.002)
            return super().denoise_step(*arrays)

    backend = Slow()
    run_until_idle(leases, blobs, backend)

    assert (leases.succeeded, leases.failed, leases.released) == ({}, {}, [])
    assert sum(1 for graph, _ in backend.calls if graph == "tdnet_step") < 250


def test_worker_when_stopped_then_it_hands_back_what_the_drain_time_does_not_allow(blobs: FileBlobs) -> None:
    job = a_job(1, blobs, num_steps=250)
    leases = FakeLeases([job])

    def say_idle(rows: int, index: int) -> None:
        leases.is_idle.set()  # lets the test stop the worker in the middle of the job
        threading.Event().wait(0.01)

    run_until_idle(leases, blobs, FakeBackend({"tdnet_step": say_idle}), drain_seconds=0)

    assert leases.released == [job.id]
    assert leases.succeeded == {}


def test_worker_when_stopped_then_it_finishes_what_the_drain_time_allows(blobs: FileBlobs) -> None:
    job = a_job(1, blobs, num_steps=20)
    leases = FakeLeases([job])

    def say_idle(rows: int, index: int) -> None:
        leases.is_idle.set()

    run_until_idle(leases, blobs, FakeBackend({"tdnet_step": say_idle}), drain_seconds=10)

    assert list(leases.succeeded) == [job.id]


def test_worker_when_a_job_is_suspect_then_it_shares_no_batch(blobs: FileBlobs) -> None:
    jobs = [a_job(1, blobs, is_suspect=True), a_job(2, blobs), a_job(3, blobs)]
    leases, metrics = FakeLeases(jobs), WorkerMetrics("test")
    backend = FakeBackend({"source_encoder": until_arrived(metrics, 3)})

    run_until_idle(leases, blobs, backend, metrics=metrics)

    assert len(leases.succeeded) == 3
    assert sorted(rows for graph, rows in backend.calls if graph == "tdnet_step") == [1] * 4 + [2] * 4


def test_worker_when_a_job_runs_then_the_queue_hears_of_its_steps(blobs: FileBlobs) -> None:
    job = a_job(1, blobs, num_steps=250)
    leases = FakeLeases([job])

    def slow(rows: int, index: int) -> None:
        threading.Event().wait(0.005)

    run_until_idle(leases, blobs, FakeBackend({"tdnet_step": slow}))

    steps = [progress.step for progress in leases.progress[job.id]]
    assert steps == sorted(steps)
    assert 0 < steps[-1] <= 250


def test_worker_when_jobs_have_ended_then_its_metrics_say_what_was_claimed_made_and_waited_for(
    blobs: FileBlobs,
) -> None:
    jobs = [a_job(1, blobs), replace(a_job(2, blobs, num_images=3), priority=Priority.BATCH)]

    registry = run_until_idle(FakeLeases(jobs), blobs, FakeBackend()).registry

    assert registry.get_sample_value("xmdpt_job_deliveries_total") == 2
    assert registry.get_sample_value("xmdpt_images_total", {"model": "tiny"}) == 4
    ended = {"model": "tiny", "outcome": "succeeded"}
    assert registry.get_sample_value("xmdpt_job_duration_seconds_count", ended) == 2
    waits = [
        registry.get_sample_value("xmdpt_queue_wait_seconds_count", {"priority": name})
        for name in ("interactive", "batch")
    ]
    assert waits == [1, 1]
    assert registry.get_sample_value("xmdpt_step_batch_occupancy_ratio") == 0


def test_worker_when_the_queues_functions_are_not_its_own_then_it_is_not_ready_and_nobody_counts_on_it(
    blobs: FileBlobs,
) -> None:
    leases = FakeLeases()
    worker = a_worker(leases, blobs, FakeBackend())
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        wait_for(lambda: worker.is_ready and leases.reports)
        leases.functions_trouble = StorageError("queue_unavailable", "they are too old")

        wait_for(lambda: not worker.is_ready)
        # When it looks for the second time, what follows the first look has been done.
        leases.reports.clear()
        before = leases.num_ensured
        wait_for(lambda: leases.num_ensured >= before + 2)
        assert leases.reports == []

        leases.functions_trouble = None
        wait_for(lambda: worker.is_ready and leases.reports)
    finally:
        worker.stop()
        thread.join(20)


def wait_for(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        threading.Event().wait(0.005)
