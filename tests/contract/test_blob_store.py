"""What every blob store promises: the files, the objects, and the fake that stands for them in other tests."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from service.adapters.file_blobs import FileBlobs
from service.adapters.object_blobs import ObjectBlobs
from service.adapters.object_store import ObjectStore
from service.domain.errors import NotFoundError, StorageError
from service.ports.blobs import BlobStore
from tests.fakes.bucket_server import BucketServer
from tests.fakes.memory_blobs import MemoryBlobs
from tests.unit.builders import a_job_id

JOB, OTHER = a_job_id(1), a_job_id(2)
PICTURE, OTHER_PICTURE = "src_" + "1" * 32, "pos_" + "1" * 32
CALLS: dict[str, Callable[[BlobStore], object]] = {
    "put_input": lambda blobs: blobs.put_input(JOB, b"x"),
    "get_input": lambda blobs: blobs.get_input(JOB),
    "put_output": lambda blobs: blobs.put_output(JOB, 1, b"x"),
    "get_output": lambda blobs: blobs.get_output(JOB, 1),
    "put_preview": lambda blobs: blobs.put_preview(JOB, b"x"),
    "get_preview": lambda blobs: blobs.get_preview(JOB),
    "delete_output": lambda blobs: blobs.delete_output(JOB, 1),
    "delete_job": lambda blobs: blobs.delete_job(JOB),
    "put_picture": lambda blobs: blobs.put_picture(PICTURE, b"x"),
    "get_picture": lambda blobs: blobs.get_picture(PICTURE),
    "touch_picture": lambda blobs: blobs.touch_picture(PICTURE),
    "delete_picture": lambda blobs: blobs.delete_picture(PICTURE),
    "sweep": lambda blobs: blobs.sweep(0),
    "check_writable": lambda blobs: blobs.check_writable(),
}


@pytest.fixture(params=["files", "memory", "objects"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "objects":
        server: BucketServer = request.getfixturevalue("bucket_server")
        return ObjectBlobs(server.store(tmp_path.name), young_seconds=0)
    return FileBlobs(tmp_path / "blobs") if request.param == "files" else MemoryBlobs()


@pytest.fixture(params=["files", "memory", "objects"])
def absent_blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """A store that has been there, and is away."""
    if request.param == "objects":
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            return ObjectBlobs(ObjectStore("s3://pictures", f"http://127.0.0.1:{nobody.getsockname()[1]}"))
    if request.param == "memory":
        blobs = MemoryBlobs()
        blobs.is_down = True
        return blobs
    # Something else stands where the folders were.
    blobs = FileBlobs(tmp_path / "blobs")
    for name in ("in", "out", "preview", "lib"):
        (tmp_path / "blobs" / name).rename(tmp_path / name)
        (tmp_path / "blobs" / name).write_bytes(b"")
    return blobs


@pytest.mark.parametrize("content", [b"", b"\0", bytes(range(256)) * 1000], ids=["empty", "one", "many"])
def test_blob_when_stored_then_it_comes_back_as_it_was(blobs: BlobStore, content: bytes) -> None:
    blobs.put_input(JOB, content)
    blobs.put_output(JOB, 7, content + b"out")
    blobs.put_preview(JOB, content + b"preview")
    blobs.put_picture(PICTURE, content + b"lib")

    assert blobs.get_picture(PICTURE) == content + b"lib"
    assert blobs.get_input(JOB) == content
    assert blobs.get_output(JOB, 7) == content + b"out"
    assert blobs.get_preview(JOB) == content + b"preview"


def test_blob_when_stored_again_then_the_last_one_counts(blobs: BlobStore) -> None:
    for content in (b"a longer first one", b"second"):
        blobs.put_input(JOB, content)
        blobs.put_output(JOB, 1, content)
        blobs.put_preview(JOB, content)
        blobs.put_picture(PICTURE, content)

    assert blobs.get_input(JOB) == blobs.get_output(JOB, 1) == blobs.get_preview(JOB) == b"second"
    assert blobs.get_picture(PICTURE) == b"second"


def test_blob_when_absent_then_not_found(blobs: BlobStore) -> None:
    blobs.put_input(OTHER, b"x")
    blobs.put_output(JOB, 11, b"x")
    blobs.put_preview(OTHER, b"x")
    blobs.put_picture(OTHER_PICTURE, b"x")

    for call in ("get_input", "get_output", "get_preview", "get_picture", "touch_picture"):
        with pytest.raises(NotFoundError):
            CALLS[call](blobs)


def test_output_when_two_deliveries_made_one_then_each_keeps_its_own(blobs: BlobStore) -> None:
    for fence in (1, 2, 12):
        blobs.put_output(JOB, fence, str(fence).encode())

    blobs.delete_output(JOB, 2)

    assert (blobs.get_output(JOB, 1), blobs.get_output(JOB, 12)) == (b"1", b"12")
    with pytest.raises(NotFoundError):
        blobs.get_output(JOB, 2)


def test_output_when_a_delivery_made_several_then_each_is_kept_and_they_are_deleted_together(blobs: BlobStore) -> None:
    for fence, index in ((1, 0), (1, 1), (1, 7), (11, 1)):
        blobs.put_output(JOB, fence, b"%d of %d" % (index, fence), index)
    kept = [blobs.get_output(JOB, 1, index) for index in (0, 1, 7)]

    blobs.delete_output(JOB, 1)

    assert kept == [b"0 of 1", b"1 of 1", b"7 of 1"]
    assert blobs.get_output(JOB, 11, 1) == b"1 of 11"
    for index in (0, 1, 7):
        with pytest.raises(NotFoundError):
            blobs.get_output(JOB, 1, index)


def test_job_when_deleted_then_all_of_it_goes_and_other_jobs_stay(blobs: BlobStore) -> None:
    for job_id in (JOB, OTHER):
        blobs.put_input(job_id, b"in")
        blobs.put_output(job_id, 1, b"out")
        blobs.put_output(job_id, 23, b"out")
        blobs.put_output(job_id, 23, b"out", 1)
        blobs.put_preview(job_id, b"preview")

    blobs.delete_job(JOB)

    for get in (
        lambda: blobs.get_input(JOB),
        lambda: blobs.get_output(JOB, 1),
        lambda: blobs.get_output(JOB, 23),
        lambda: blobs.get_output(JOB, 23, 1),
        lambda: blobs.get_preview(JOB),
    ):
        with pytest.raises(NotFoundError):
            get()
    assert (blobs.get_input(OTHER), blobs.get_output(OTHER, 23)) == (b"in", b"out")
    assert blobs.get_preview(OTHER) == b"preview"


def test_delete_when_there_is_nothing_or_twice_then_fine(blobs: BlobStore) -> None:
    for _ in range(2):
        blobs.delete_output(JOB, 1)
        blobs.delete_job(JOB)
    blobs.put_input(JOB, b"new")

    assert blobs.get_input(JOB) == b"new"


def test_picture_when_deleted_then_it_goes_and_others_stay(blobs: BlobStore) -> None:
    for picture_id in (PICTURE, OTHER_PICTURE):
        blobs.put_picture(picture_id, b"lib")
    blobs.put_input(JOB, b"in")

    for _ in range(2):
        blobs.delete_picture(PICTURE)

    with pytest.raises(NotFoundError):
        blobs.get_picture(PICTURE)
    assert (blobs.get_picture(OTHER_PICTURE), blobs.get_input(JOB)) == (b"lib", b"in")


def test_sweep_when_everything_is_young_then_everything_stays(blobs: BlobStore) -> None:
    blobs.put_input(JOB, b"in")
    blobs.put_output(JOB, 1, b"out")

    assert blobs.sweep(3600) == 0
    assert (blobs.get_input(JOB), blobs.get_output(JOB, 1)) == (b"in", b"out")


def test_store_when_it_can_be_written_then_the_check_says_nothing(blobs: BlobStore) -> None:
    assert blobs.check_writable() is None


@pytest.mark.parametrize("call", CALLS)
def test_store_when_it_does_not_answer_then_storage_unavailable(absent_blobs: BlobStore, call: str) -> None:
    with pytest.raises(StorageError) as error:
        CALLS[call](absent_blobs)

    assert error.value.code == "storage_unavailable"
