"""Jobs that nobody wants any more leave between two steps, and take nothing from the others."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.adapters.file_blobs import FileBlobs
from service.domain.job import ClaimedJob
from tests.fakes.fake_backend import FakeBackend
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.memory_vectors import MemoryVectors
from tests.fakes.running_worker import SLOTS, a_job, run_until_idle
from xmdpt.presets import Preset


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path)


def steps_of(backend: FakeBackend) -> list[int]:
    return [rows for graph, rows in backend.calls if graph == "tdnet_step"]


def at_step(number: int, action: Callable[[], object]) -> dict[str, Callable[[int, int], None]]:
    """Faults of a backend that does this before its step of that number, and takes a while for each."""

    def fault(rows: int, index: int) -> None:
        if index == number:
            action()
        threading.Event().wait(0.005)

    return {"tdnet_step": fault}


def test_worker_when_a_job_is_cancelled_then_it_leaves_early_and_others_are_as_ever(blobs: FileBlobs) -> None:
    jobs = [a_job(1, blobs, num_steps=250), a_job(2, blobs, num_steps=60)]
    undisturbed = FakeLeases([a_job(2, blobs, num_steps=60)])
    run_until_idle(undisturbed, blobs, FakeBackend())
    leases = FakeLeases(jobs)
    backend = FakeBackend(at_step(3, lambda: leases.unwanted.add(jobs[0].id)))

    run_until_idle(leases, blobs, backend)

    assert set(leases.cancelled) == {jobs[0].id}
    assert len(steps_of(backend)) < 250
    assert leases.succeeded[jobs[1].id].files == undisturbed.succeeded[jobs[1].id].files


def test_worker_when_jobs_are_cancelled_then_those_that_wait_take_their_slots(blobs: FileBlobs) -> None:
    unwanted = [a_job(number, blobs, num_steps=250) for number in range(1, SLOTS + 1)]
    waiting = [a_job(number, blobs) for number in range(10, 13)]
    leases = FakeLeases([*unwanted, *waiting])
    backend = FakeBackend(at_step(3, lambda: leases.unwanted.update(job.id for job in unwanted)))

    run_until_idle(leases, blobs, backend)

    assert set(leases.cancelled) == {job.id for job in unwanted}
    assert leases.succeeded.keys() == {job.id for job in waiting}
    assert len(steps_of(backend)) < 250


def test_worker_when_a_deadline_passes_then_the_job_is_ended_as_unwanted(blobs: FileBlobs) -> None:
    job = dataclasses.replace(a_job(1, blobs, num_steps=250), seconds_left=0.05)
    leases = FakeLeases([job])
    backend = FakeBackend(at_step(0, lambda: None))

    run_until_idle(leases, blobs, backend)

    assert leases.cancelled == [job.id]
    assert len(steps_of(backend)) < 250


def test_worker_when_a_job_that_waits_for_a_vector_is_cancelled_then_it_leaves(blobs: FileBlobs) -> None:
    job = a_job(1, blobs)
    leases = FakeLeases([job])
    leases.unwanted = {job.id}

    class MadeElsewhere(MemoryVectors):
        def look_up(self, keys):
            return ["theirs"] * len(keys)

    run_until_idle(leases, blobs, FakeBackend(), vectors=MadeElsewhere())

    assert leases.cancelled == [job.id]


def test_worker_when_a_job_that_waits_for_a_vector_is_lost_then_it_is_dropped(blobs: FileBlobs) -> None:
    job = a_job(1, blobs)
    leases = FakeLeases([job])
    leases.lost = {job.id}

    class MadeElsewhere(MemoryVectors):
        def look_up(self, keys):
            return ["theirs"] * len(keys)

    run_until_idle(leases, blobs, FakeBackend(), vectors=MadeElsewhere())

    assert (leases.cancelled, leases.failed, leases.released) == ([], {}, [])


def test_worker_when_previews_are_asked_for_then_the_newest_is_in_the_store(blobs: FileBlobs) -> None:
    job = with_previews(a_job(1, blobs, num_steps=40), 2)
    leases = FakeLeases([job, a_job(2, blobs, num_steps=40)])

    metrics = run_until_idle(leases, blobs, FakeBackend(at_step(-1, lambda: None)))

    assert len(leases.succeeded) == 2
    assert blobs.get_preview(job.id)[:2] == b"\xff\xd8"
    assert metrics.previews._value.get() >= 1


def test_worker_when_a_backend_gives_another_shape_then_the_job_fails_and_not_the_worker(blobs: FileBlobs) -> None:
    class Flat(FakeBackend):
        def decode(self, latents: np.ndarray) -> np.ndarray:
            return super().decode(latents)[:, :128]

    leases = FakeLeases([a_job(1, blobs)])

    run_until_idle(leases, blobs, Flat())

    ((failure, _),) = leases.failed.values()
    assert failure.code == "backend_error"


def test_worker_when_a_backend_has_profiles_then_every_call_has_one_of_their_sizes(blobs: FileBlobs) -> None:
    class Profiled(FakeBackend):
        profile_sizes = (2, 4)

    jobs = [a_job(number, blobs, num_steps=3 * number) for number in (1, 2, 3)]
    leases, plain, backend = FakeLeases(list(jobs)), FakeLeases(list(jobs)), Profiled()

    run_until_idle(leases, blobs, backend)
    run_until_idle(plain, blobs, FakeBackend())

    assert {rows for _, rows in backend.calls} <= {2, 4}
    assert {i: r.files for i, r in leases.succeeded.items()} == {i: r.files for i, r in plain.succeeded.items()}


def test_worker_when_a_backend_has_profiles_then_calls_in_low_precision_are_not_padded(blobs: FileBlobs) -> None:
    class Profiled(FakeBackend):
        profile_sizes = (2, 4)
        low_precision = "int8"
        has_low_decoder = True

    job, backend = a_job(1, blobs, num_steps=3), Profiled()
    params = dataclasses.replace(job.request.params, preset=Preset.FAST)
    job = dataclasses.replace(job, request=dataclasses.replace(job.request, params=params))

    run_until_idle(FakeLeases([job]), blobs, backend)

    low = [call for call in backend.calls if call[0].endswith("_low")]
    assert low == [*[("tdnet_step_low", 1)] * 3, ("vae_decoder_low", 1)]
    assert {rows for graph, rows in backend.calls if not graph.endswith("_low")} == {2}


def with_previews(job: ClaimedJob, every_steps: int) -> ClaimedJob:
    output = dataclasses.replace(job.request.output, preview_every_steps=every_steps)
    return dataclasses.replace(job, request=dataclasses.replace(job.request, output=output))
