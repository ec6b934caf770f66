"""One encoder run for all who need its vector at one time, and none for those who come later."""

from pathlib import Path

import numpy as np
import pytest

from service.adapters.file_blobs import FileBlobs
from service.domain.errors import BackendError
from service.domain.stage import Stage
from service.engine.flight import Flight
from service.engine.vectors import Vectors
from tests.fakes.fake_backend import FakeBackend
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.memory_vectors import MemoryVectors
from tests.fakes.running_worker import a_job, run_until_idle
from tests.unit.builders import a_claimed_job

SOURCE, POSE = Stage.ENCODE_SOURCE, Stage.ENCODE_POSE
VECTOR = np.arange(4, dtype=np.float32)


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path)


def a_flight(number: int = 1, fence: int = 1) -> Flight:
    return Flight(a_claimed_job(number, fence), 0.0)


def two_workers() -> tuple[Vectors, Vectors]:
    cache = MemoryVectors()
    return Vectors(cache, "sha256:model"), Vectors(cache, "sha256:model")


def test_vectors_when_nobody_has_them_then_the_first_flight_makes_them_and_others_wait() -> None:
    here, there = two_workers()
    maker, same_worker, other_worker = a_flight(fence=1), a_flight(fence=2), a_flight(fence=3)
    assert here.supply(maker).at_hand == {}
    assert not here.supply(a_flight(2)).is_waiting
    assert here.supply(same_worker).is_waiting
    assert there.supply(other_worker).is_waiting

    here.made(maker, SOURCE, VECTOR)
    assert here.supply(same_worker).is_waiting, "the pose is still being made"
    here.made(maker, POSE, VECTOR + 1)

    for supply in (here.supply(same_worker), there.supply(other_worker)):
        assert not supply.is_waiting
        assert (supply.at_hand[SOURCE] == VECTOR).all()
        assert (supply.at_hand[POSE] == VECTOR + 1).all()


def test_vectors_when_there_are_too_many_then_those_go_that_nobody_has_used_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.engine.vectors._MAX_LOCAL", 4)
    cache = MemoryVectors()
    vectors = Vectors(cache, "sha256:model")
    flights = [a_flight(number) for number in range(3)]
    for flight in flights[:2]:
        vectors.supply(flight)
        for stage in (SOURCE, POSE):
            vectors.made(flight, stage, VECTOR)

    assert vectors.supply(flights[0]).at_hand.keys() == {SOURCE, POSE}
    vectors.supply(flights[2])
    for stage in (SOURCE, POSE):
        vectors.made(flights[2], stage, VECTOR)
    cache.vectors.clear()

    assert vectors.supply(flights[0]).at_hand.keys() == {SOURCE, POSE}
    assert vectors.supply(flights[1]).at_hand == {}


def test_vectors_when_their_maker_leaves_then_another_one_makes_them() -> None:
    here, there = two_workers()
    maker, heir = a_flight(fence=1), a_flight(fence=2)
    here.supply(maker)
    assert there.supply(heir).is_waiting
    here.give_up(maker)
    supply = there.supply(heir)
    assert (supply.is_waiting, supply.at_hand) == (False, {})
    assert here.supply(a_flight(fence=3)).is_waiting


def test_vectors_when_a_flight_waits_for_one_then_it_does_not_make_the_other_meanwhile() -> None:
    cache = MemoryVectors()
    vectors = Vectors(cache, "sha256:model")
    maker = a_flight(1)
    source_key = vectors._keys(maker)[SOURCE]
    cache.making.add(source_key)
    assert vectors.supply(maker).is_waiting
    assert cache.making == {source_key}


def test_vectors_when_the_model_is_another_then_they_are_not_shared() -> None:
    cache = MemoryVectors()
    one, other = Vectors(cache, "sha256:one"), Vectors(cache, "sha256:other")
    one.supply(a_flight())
    one.made(a_flight(), SOURCE, VECTOR)
    assert other.supply(a_flight()).at_hand == {}


def test_worker_when_a_person_comes_again_then_no_encoder_runs_and_the_job_says_so(blobs: FileBlobs) -> None:
    backend, vectors = FakeBackend(), MemoryVectors()
    first, second = FakeLeases([a_job(1, blobs)]), FakeLeases([a_job(1, blobs)])

    run_until_idle(first, blobs, backend, vectors=vectors)
    metrics = run_until_idle(second, blobs, backend, vectors=vectors)

    assert [rows for graph, rows in backend.calls if graph.endswith("encoder")] == [1, 1]
    (cold,), (warm,) = first.succeeded.values(), second.succeeded.values()
    assert (cold.cache, warm.cache) == ({"source": "miss", "pose": "miss"}, {"source": "hit", "pose": "hit"})
    assert cold.files == warm.files
    assert "source_encoder" in warm.stage_seconds
    for kind in ("source", "pose"):
        assert metrics.cache_requests.labels(kind, "hit")._value.get() == 1


@pytest.mark.parametrize("unknown", [None, SOURCE, POSE])
def test_worker_when_both_vectors_are_known_then_no_picture_is_read(blobs: FileBlobs, unknown: Stage | None) -> None:
    backend, vectors, job = FakeBackend(), MemoryVectors(), a_job(1, blobs)
    run_until_idle(FakeLeases([job]), blobs, backend, vectors=vectors)
    blobs.delete_job(job.id)
    if unknown:
        del vectors.vectors[Vectors(vectors, backend.model_digest)._keys(Flight(job, 0.0))[unknown]]
    leases = FakeLeases([job])

    run_until_idle(leases, blobs, backend, vectors=vectors)

    assert list(leases.succeeded) == ([] if unknown else [job.id])
    assert [failure.code for failure, _ in leases.failed.values()] == (["input_lost"] if unknown else [])
    assert not vectors.making


def test_worker_when_many_ask_for_one_person_at_one_time_then_its_encoders_run_once(blobs: FileBlobs) -> None:
    jobs = [a_job(1, blobs) for _ in range(9)]
    for number, job in enumerate(jobs):
        object.__setattr__(job, "id", f"job_{number + 100:032x}")
        blobs.put_input(job.id, blobs.get_input(a_job(1, blobs).id))
    leases, backend = FakeLeases(jobs), FakeBackend()

    run_until_idle(leases, blobs, backend)

    assert len(leases.succeeded) == 9
    assert [rows for graph, rows in backend.calls if graph.endswith("encoder")] == [1, 1]
    assert len({result.files for result in leases.succeeded.values()}) == 1


def test_worker_when_the_maker_of_a_vector_fails_then_those_who_wait_make_it_themselves(blobs: FileBlobs) -> None:
    class Faulty(FakeBackend):
        num_left = 3

        def encode_source(self, photo: np.ndarray) -> np.ndarray:
            if photo.any() and self.num_left:
                self.num_left -= 1
                raise BackendError("backend_error", "scripted")
            return super().encode_source(photo)

    jobs = [a_job(1, blobs), a_job(1, blobs)]
    object.__setattr__(jobs[1], "id", f"job_{200:032x}")
    blobs.put_input(jobs[1].id, blobs.get_input(jobs[0].id))
    leases = FakeLeases(jobs)

    run_until_idle(leases, blobs, Faulty())

    assert list(leases.failed) == [jobs[0].id]
    assert list(leases.succeeded) == [jobs[1].id]
