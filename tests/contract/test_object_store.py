"""What holds of the objects alone: their names, their age, and a bucket that can't be used."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.adapters.object_blobs import ObjectBlobs
from service.adapters.object_manifests import ObjectManifests
from service.adapters.object_store import ObjectStore
from service.domain.errors import NotFoundError, StorageError
from service.ports.manifests import ManifestPlace
from tests.contract.test_file_blobs import BAD_IDS
from tests.fakes.bucket_server import BucketServer
from tests.unit.builders import a_job_id

JOB, PICTURE = a_job_id(1), "src_" + "1" * 32
BATCH = f"bat_{1:032x}"
# Longer than what one read of a manifest fetches.
LINES = [b'{"number":%d,"text":"%s\\r"}' % (number, b"x" * 3000) for number in range(200)]


@pytest.fixture
def store(bucket_server: BucketServer, tmp_path: Path) -> ObjectStore:
    """A place in the bucket that no other test uses."""
    return bucket_server.store(tmp_path.name)


def everything(store: ObjectStore) -> list[str]:
    return sorted(
        name for folder in ("in", "out", "preview", "lib", "batches", "probe") for name in store.names(folder)
    )


def test_objects_when_stored_then_their_names_come_from_ids_alone(store: ObjectStore) -> None:
    blobs = ObjectBlobs(store)
    blobs.put_input(JOB, b"x")
    blobs.put_output(JOB, 12, b"x")
    blobs.put_output(JOB, 12, b"x", index=1)
    blobs.put_preview(JOB, b"x")
    blobs.put_picture(PICTURE, b"x")
    blobs.check_writable()

    assert everything(store) == [
        *(f"in/{JOB}", f"lib/{PICTURE}", f"out/{JOB}/12", f"out/{JOB}/12.1", f"preview/{JOB}"),
    ]


@pytest.mark.parametrize("job_id", BAD_IDS)
def test_id_when_it_is_none_then_no_name_is_made_of_it(job_id: str) -> None:
    blobs = ObjectBlobs(ObjectStore("s3://nobody", "http://127.0.0.1:1"))

    for call in (blobs.get_input, blobs.get_preview, blobs.delete_job):
        with pytest.raises(ValueError, match="job id"):
            call(job_id)
    with pytest.raises(ValueError, match="picture's id"):
        blobs.get_picture(JOB)


def test_sweep_when_some_is_old_then_only_that_goes(store: ObjectStore) -> None:
    blobs, manifests = ObjectBlobs(store), ObjectManifests(store)
    blobs.put_output(JOB, 1, b"x")
    blobs.put_picture(PICTURE, b"x")
    manifests.put(BATCH, LINES)
    nothing = blobs.sweep(60) + manifests.sweep(60)

    # Times are whole seconds there, and the server's clock is this one.
    num_blobs, num_manifests = blobs.sweep(-2), manifests.sweep(-2)

    assert (nothing, num_blobs, num_manifests) == (0, 2, 1)
    assert everything(store) == []


@pytest.mark.parametrize(("young_seconds", "is_stored_anew"), [(3600, False), (0, True)])
def test_picture_when_touched_then_it_is_stored_anew_once_it_is_old(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, young_seconds: float, is_stored_anew: bool
) -> None:
    blobs = ObjectBlobs(store, young_seconds)
    blobs.put_picture(PICTURE, b"as it was")
    stored: list[str] = []
    put = store.put
    monkeypatch.setattr(store, "put", lambda name, content: (stored.append(name), put(name, content)))

    blobs.touch_picture(PICTURE)

    assert bool(stored) is is_stored_anew
    assert blobs.get_picture(PICTURE) == b"as it was"


def test_bucket_when_it_is_gone_then_the_storage_is_away_and_no_picture_gone(bucket_server: BucketServer) -> None:
    blobs = ObjectBlobs(bucket_server.store("x", bucket="never-made"))

    with pytest.raises(StorageError):
        blobs.get_input(JOB)


def test_credentials_when_they_are_wrong_then_the_storage_is_away_and_no_secret_is_told(
    bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")

    with pytest.raises(StorageError) as error:
        bucket_server.store("x").check_writable()

    assert "secret" not in str(error.value)
    assert bucket_server.endpoint not in str(error.value)


@pytest.mark.parametrize("place", [ManifestPlace(), ManifestPlace(0, 150), ManifestPlace(len(LINES[0]) + 1, 3)])
@pytest.mark.parametrize("limit", [1, 120, 1000])
def test_manifest_when_it_is_long_then_it_can_be_read_from_any_place(
    store: ObjectStore, place: ManifestPlace, limit: int
) -> None:
    manifests = ObjectManifests(store)
    manifests.put(BATCH, iter(LINES))
    first = place.num_skipped + (place.offset > 0)

    lines, offset = manifests.read(BATCH, place, limit)

    assert [line.rstrip(b"\n") for line in lines] == LINES[first : first + limit]
    assert offset == sum(len(line) + 1 for line in LINES[: first + limit])
    assert manifests.read(BATCH, ManifestPlace(offset), 1)[0] == [line + b"\n" for line in LINES[first + limit :][:1]]


def test_manifest_when_its_lines_break_off_then_nothing_is_there(store: ObjectStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"{}"
        raise RuntimeError("the call broke off")

    with pytest.raises(RuntimeError):
        ObjectManifests(store).put(BATCH, broken())
    assert everything(store) == []


def test_manifest_when_deleted_or_never_there_then_not_found(store: ObjectStore) -> None:
    manifests = ObjectManifests(store)
    manifests.put(BATCH, LINES[:1])
    manifests.delete(BATCH)
    manifests.delete(BATCH)

    with pytest.raises(NotFoundError):
        manifests.read(BATCH, ManifestPlace(), 1)
