"""What an idle worker makes for no job: one wish at a time, after every job, and never of other pixels."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from service.domain.digest import content_digest, vector_key
from service.domain.errors import BackendError
from service.engine.wishes import Wishes
from service.ports.vectors import VectorWish
from service.telemetry.metrics import WorkerMetrics
from tests.fakes.fake_backend import FakeBackend
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_vectors import MemoryVectors
from tests.fakes.running_worker import a_job, a_worker

MODEL = FakeBackend.model_digest


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def vectors() -> MemoryVectors:
    return MemoryVectors()


def a_wish(blobs: MemoryBlobs, level: int = 7, kind: str = "source") -> VectorWish:
    """For a picture of one grey that is in the store."""
    pixels = np.full(256 * 256 * 3, level, np.uint8).tobytes()
    wish = VectorWish(kind, f"{kind[:3].replace('sou', 'src')}_{level:032x}", content_digest(pixels))  # pyright: ignore
    blobs.put_picture(wish.picture_id, pixels)
    return wish


def key_of(wish: VectorWish) -> str:
    return vector_key(wish.kind, wish.digest, MODEL)


def work_until(
    condition: Callable[[], bool],
    leases: FakeLeases,
    blobs: MemoryBlobs,
    vectors: MemoryVectors,
    backend: FakeBackend | None = None,
) -> None:
    """Run a worker in a thread until then."""
    worker = a_worker(leases, blobs, backend or FakeBackend(), metrics=WorkerMetrics("test"), vectors=vectors)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        give_up_at = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < give_up_at, "it never happened"
            threading.Event().wait(0.005)
    finally:
        worker.stop()
        thread.join(20)
    assert not thread.is_alive()


def test_worker_when_it_is_idle_then_it_grants_every_wish_with_the_right_encoder(
    blobs: MemoryBlobs, vectors: MemoryVectors
) -> None:
    vectors.wishes = wishes = [a_wish(blobs, 7), a_wish(blobs, 9, "pose"), a_wish(blobs, 11)]
    keys = [key_of(wish) for wish in wishes]
    backend = FakeBackend()

    work_until(lambda: vectors.vectors.keys() == set(keys), FakeLeases(), blobs, vectors, backend)

    assert [vectors.vectors[key][0] for key in keys] == [7, 9, 11]
    assert all(vector.shape == (FakeBackend.width,) for vector in vectors.vectors.values())
    assert backend.calls == [("source_encoder", 1), ("pose_encoder", 1), ("source_encoder", 1)]
    assert vectors.making == set()


def test_worker_when_there_are_jobs_then_they_come_first(blobs: MemoryBlobs, vectors: MemoryVectors) -> None:
    vectors.wishes = [a_wish(blobs, 200)]
    leases = FakeLeases([a_job(number, blobs) for number in range(1, 9)])
    backend = FakeBackend()

    work_until(lambda: len(vectors.vectors) == 17, leases, blobs, vectors, backend)

    assert len(leases.succeeded) == 8
    graphs = [graph for graph, _ in backend.calls]
    assert graphs.index("vae_decoder") < len(graphs) - 1 - graphs[::-1].index("source_encoder")
    assert graphs[-1] == "source_encoder"


def test_worker_when_an_encoder_fails_then_the_wish_is_dropped_and_jobs_go_on(
    blobs: MemoryBlobs, vectors: MemoryVectors
) -> None:
    def fail_first(_: int, index: int) -> None:
        if index == 0:
            raise BackendError("backend_error", "scripted")

    vectors.wishes = [a_wish(blobs, 7), a_wish(blobs, 9)]
    keys = [key_of(wish) for wish in vectors.wishes]

    work_until(
        lambda: keys[1] in vectors.vectors, FakeLeases(), blobs, vectors, FakeBackend({"source_encoder": fail_first})
    )

    assert keys[0] not in vectors.vectors
    assert vectors.making == set(), "whoever needs it next must not wait"


def test_wish_when_its_picture_is_gone_or_another_one_then_nothing_is_made_of_it(
    blobs: MemoryBlobs, vectors: MemoryVectors
) -> None:
    gone, damaged, good = (a_wish(blobs, level) for level in (1, 2, 3))
    blobs.delete_picture(gone.picture_id)
    blobs.put_picture(damaged.picture_id, bytes(196_608))
    vectors.wishes = [gone, damaged, good]

    taken = Wishes(vectors, blobs, MODEL).take()

    assert taken
    assert (taken.key, int(taken.picture.mean())) == (key_of(good), 3)
    assert vectors.making == {key_of(good)}


def test_wish_when_the_vector_is_there_or_being_made_then_it_is_done(
    blobs: MemoryBlobs, vectors: MemoryVectors
) -> None:
    there, made = a_wish(blobs, 1), a_wish(blobs, 2)
    vectors.put(key_of(there), np.zeros(4, np.float32))
    vectors.look_up([key_of(made)])
    vectors.wishes = [there, made]

    assert Wishes(vectors, blobs, MODEL).take() is None
    assert vectors.wishes == []
    assert vectors.making == {key_of(made)}


def test_wish_when_the_storage_is_away_then_it_is_dropped(blobs: MemoryBlobs, vectors: MemoryVectors) -> None:
    vectors.wishes = [a_wish(blobs)]
    blobs.is_down = True

    assert Wishes(vectors, blobs, MODEL).take() is None
    assert vectors.making == set()
