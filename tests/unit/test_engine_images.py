"""A job of several pictures on a worker: a slot each, encoded once, and one end for all."""

import dataclasses
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
import pytest

from service.adapters.file_blobs import FileBlobs
from service.adapters.simulated_backend import SimulatedBackend, SimulatedTimes
from service.domain.errors import BackendError
from service.domain.execution import Execution
from service.domain.job import ClaimedJob
from service.ports.queue import News
from tests.fakes.fake_backend import FakeBackend
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.running_worker import SLOTS, a_job, run_until_idle
from xmdpt.sampler import initial_noise

NUM_IMAGES = 3


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path)


def rows_of(backend: FakeBackend, graph: str) -> list[int]:
    return [rows for name, rows in backend.calls if name == graph]


def pictures_of(job: ClaimedJob, blobs: FileBlobs) -> list[bytes]:
    return [blobs.get_output(job.id, job.fence, index) for index in range(job.request.num_images)]


def a_backend() -> SimulatedBackend:
    """Its pictures differ with any bit of the latents."""
    return SimulatedBackend("tiny", SimulatedTimes())


def alone(job: ClaimedJob, index: int, root: Path, execution: Execution) -> bytes:
    """The picture of this index as a job of its own."""
    blobs, request = FileBlobs(root), job.request
    photo = a_job(job.fence, blobs)
    params = dataclasses.replace(request.params, seed=request.params.seed + index)
    one = dataclasses.replace(photo, request=dataclasses.replace(request, params=params, num_images=1))
    run_until_idle(FakeLeases([one]), blobs, a_backend(), execution=execution)
    return blobs.get_output(one.id, one.fence)


@pytest.mark.parametrize("slots", [1, 2, SLOTS])
@pytest.mark.parametrize("execution", Execution)
def test_worker_when_a_job_makes_several_pictures_then_each_is_that_of_its_seed_alone(
    tmp_path: Path, execution: Execution, slots: int
) -> None:
    blobs = FileBlobs(tmp_path / "together")
    job, other = a_job(1, blobs, num_images=NUM_IMAGES), a_job(2, blobs, num_steps=6)
    leases = FakeLeases([other, job])

    run_until_idle(leases, blobs, a_backend(), execution=execution, slots=slots)

    pictures = pictures_of(job, blobs)
    expected = [alone(job, index, tmp_path / str(index), execution) for index in range(NUM_IMAGES)]
    assert pictures == expected
    assert len(set(pictures)) == NUM_IMAGES
    assert [file.num_bytes for file in leases.succeeded[job.id].files] == [len(picture) for picture in pictures]
    assert len(leases.succeeded[other.id].files) == 1


def test_worker_when_a_job_makes_several_pictures_then_the_encoders_run_once_and_steps_are_shared(
    blobs: FileBlobs,
) -> None:
    backend = FakeBackend()

    metrics = run_until_idle(FakeLeases([a_job(1, blobs, num_images=NUM_IMAGES)]), blobs, backend)

    for graph in ("source_encoder", "pose_encoder", "canet"):
        assert rows_of(backend, graph) == [1], graph
    assert rows_of(backend, "tdnet_step") == [NUM_IMAGES] * 4
    assert rows_of(backend, "vae_decoder") == [NUM_IMAGES]
    assert metrics.steps._value.get() == 4 * NUM_IMAGES
    assert metrics.jobs.labels("succeeded")._value.get() == 1


def test_worker_when_a_job_has_more_pictures_than_the_worker_slots_then_they_go_in_turns(blobs: FileBlobs) -> None:
    backend, leases = FakeBackend(), FakeLeases([a_job(1, blobs, num_images=8), a_job(2, blobs)])

    run_until_idle(leases, blobs, backend)

    assert len(leases.succeeded) == 2
    assert max(rows_of(backend, "tdnet_step")) == SLOTS
    assert sum(rows_of(backend, "tdnet_step")) == 9 * 4


def test_worker_when_a_job_makes_several_pictures_then_the_queue_hears_of_their_mean_step(blobs: FileBlobs) -> None:
    job = a_job(1, blobs, num_steps=6, num_images=4)
    leases = FakeLeases([job])

    def slow(rows: int, index: int) -> None:
        threading.Event().wait(0.02)

    run_until_idle(leases, blobs, FakeBackend({"tdnet_step": slow}), slots=1)

    steps = [progress.step for progress in leases.progress[job.id]]
    assert steps == sorted(steps)
    assert 0 < steps[-1] <= 6
    assert len(set(steps)) > 2


def test_worker_when_one_picture_fails_then_its_job_does_and_others_go_on(blobs: FileBlobs) -> None:
    class PoisonedByOne(FakeBackend):
        def denoise_step(self, latents, previous_denoised, condition, timestep, guidance, coefficients):
            moved, denoised = super().denoise_step(
                latents, previous_denoised, condition, timestep, guidance, coefficients
            )
            moved[np.isclose(latents[:, 0, 0, 0], poison, atol=1e-6)] = np.nan
            return moved, denoised

    job, other = a_job(1, blobs, num_steps=100, num_images=NUM_IMAGES), a_job(9, blobs)
    poison = initial_value(job.request.params.seed + 1)
    leases = FakeLeases([job, other])

    backend = PoisonedByOne()

    metrics = run_until_idle(leases, blobs, backend)

    assert leases.failed[job.id][0].code == "backend_error"
    assert leases.succeeded.keys() == {other.id}
    assert metrics.jobs.labels("failed")._value.get() == 1
    assert sum(rows_of(backend, "tdnet_step")) < 100, "the others are made no further"


def initial_value(seed: int) -> float:
    return float(initial_noise(seed)[0, 0, 0])


@pytest.mark.parametrize("graph", ["source_encoder", "canet", "tdnet_step", "vae_decoder"])
def test_worker_when_a_graph_fails_once_then_all_pictures_are_made(blobs: FileBlobs, graph: str) -> None:
    def first_call(rows: int, index: int) -> None:
        if index == 0:
            raise BackendError("backend_error", "scripted")

    job = a_job(1, blobs, num_images=NUM_IMAGES)
    leases = FakeLeases([job])

    run_until_idle(leases, blobs, FakeBackend({graph: first_call}))

    assert len(leases.succeeded[job.id].files) == NUM_IMAGES


def in_the_middle(graph: str, leases: FakeLeases, wish: set[str], jobs: Sequence[ClaimedJob]) -> FakeBackend:
    """A backend at whose first call of this graph the queue learns of the wish; its steps take a while."""

    def learn(rows: int, index: int) -> None:
        wish.update(job.id for job in jobs)
        wait(rows, index)

    def wait(rows: int, index: int) -> None:
        threading.Event().wait(0.01)

    return FakeBackend({"tdnet_step": wait} | {graph: learn})


@pytest.mark.parametrize("graph", ["source_encoder", "canet", "tdnet_step"])
@pytest.mark.parametrize("slots", [1, SLOTS])
def test_worker_when_a_job_is_cancelled_then_all_its_pictures_leave_and_the_slots_are_free(
    blobs: FileBlobs, graph: str, slots: int
) -> None:
    job, others = a_job(1, blobs, num_steps=250, num_images=4), [a_job(n, blobs, num_images=4) for n in (2, 3)]
    leases = FakeLeases([job, *others])
    backend = in_the_middle(graph, leases, leases.unwanted, [job])

    run_until_idle(leases, blobs, backend, slots=slots)

    assert set(leases.cancelled) == {job.id}
    assert leases.succeeded.keys() == {other.id for other in others}
    assert sum(rows_of(backend, "tdnet_step")) < 1000


@pytest.mark.parametrize("graph", ["source_encoder", "canet", "tdnet_step"])
def test_worker_when_the_lease_is_lost_then_all_pictures_are_dropped_without_a_word(
    blobs: FileBlobs, graph: str
) -> None:
    job, other = a_job(1, blobs, num_steps=250, num_images=4), a_job(2, blobs, num_images=4)
    leases = FakeLeases([job, other])

    run_until_idle(leases, blobs, in_the_middle(graph, leases, leases.lost, [job]))

    assert (leases.failed, leases.released, leases.cancelled) == ({}, [], [])
    assert leases.succeeded.keys() == {other.id}


def test_worker_when_stopped_then_a_job_of_several_pictures_goes_back_as_one(blobs: FileBlobs) -> None:
    job = a_job(1, blobs, num_steps=250, num_images=NUM_IMAGES)
    leases = FakeLeases([job])

    def say_idle(rows: int, index: int) -> None:
        leases.is_idle.set()  # lets the test stop the worker in the middle of the job
        threading.Event().wait(0.01)

    run_until_idle(leases, blobs, FakeBackend({"tdnet_step": say_idle}), drain_seconds=0)

    assert (leases.released, leases.succeeded) == ([job.id], {})


def test_worker_when_the_job_is_suspect_then_its_pictures_are_made_one_by_one(blobs: FileBlobs) -> None:
    backend, job = FakeBackend(), a_job(1, blobs, is_suspect=True, num_images=NUM_IMAGES)
    leases = FakeLeases([job, a_job(2, blobs)])

    run_until_idle(leases, blobs, backend)

    assert len(leases.succeeded[job.id].files) == NUM_IMAGES
    assert set(rows_of(backend, "tdnet_step")) == {1}


def test_worker_when_the_finish_is_refused_then_no_picture_stays(blobs: FileBlobs, tmp_path: Path) -> None:
    job = a_job(1, blobs, num_images=NUM_IMAGES)
    leases = FakeLeases([job])
    leases.fenced = {job.id}

    run_until_idle(leases, blobs, FakeBackend())

    assert list((tmp_path / "out").glob("*/*")) == []


def test_worker_when_previews_are_asked_for_then_they_are_of_the_first_picture(tmp_path: Path) -> None:
    previews = []
    for num_images in (1, NUM_IMAGES):
        blobs = FileBlobs(tmp_path / str(num_images))
        job = a_job(1, blobs, num_steps=40, num_images=num_images)
        output = dataclasses.replace(job.request.output, preview_every_steps=39)
        job = dataclasses.replace(job, request=dataclasses.replace(job.request, output=output))
        run_until_idle(FakeLeases([job]), blobs, Telling())
        previews.append(blobs.get_preview(job.id))
    assert previews[0] == previews[1]


class Telling(FakeBackend):
    """Predicts the latents of the moment, which differ with the seed."""

    def denoise_step(self, latents, previous_denoised, condition, timestep, guidance, coefficients):
        moved, _ = super().denoise_step(latents, previous_denoised, condition, timestep, guidance, coefficients)
        return moved, moved.copy()


def test_worker_when_a_job_needs_more_room_than_is_left_then_it_joins_as_soon_as_there_is(blobs: FileBlobs) -> None:
    class Silent(FakeLeases):
        """Nobody tells of work: the intake asks by itself."""

        def wait_for_news(self, timeout_seconds: float) -> AbstractSet[News]:
            super().wait_for_news(timeout_seconds)
            return frozenset()

    def slow(rows: int, index: int) -> None:
        threading.Event().wait(0.004)

    short, long, large = a_job(1, blobs), a_job(2, blobs, num_steps=150), a_job(3, blobs, num_images=SLOTS - 1)
    backend = FakeBackend({"tdnet_step": slow})

    run_until_idle(Silent([short, long, large]), blobs, backend)

    assert SLOTS in rows_of(backend, "tdnet_step"), "the large one and the long one have met"
