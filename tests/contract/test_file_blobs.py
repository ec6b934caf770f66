"""What holds of the files alone: their names, their rights, and what is left after trouble."""

import errno
import os
import resource
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.adapters.file_blobs import FileBlobs
from service.domain.errors import NotFoundError, StorageError
from tests.contract.test_blob_store import CALLS, OTHER_PICTURE, PICTURE
from tests.unit.builders import a_job_id

JOB = a_job_id(1)
OF_A_JOB = {name: call for name, call in CALLS.items() if name not in ("sweep", "check_writable")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(root: Path) -> FileBlobs:
    return FileBlobs(root)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink())


def path_of(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


@contextmanager
def files_end_at(num_bytes: int) -> Iterator[None]:
    """As a full disk: a write beyond raises OSError, after a part of it has been written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_files_when_stored_then_their_names_come_from_ids_alone(blobs: FileBlobs, root: Path) -> None:
    blobs.put_input(JOB, b"x")
    blobs.put_output(JOB, 12, b"x")
    blobs.put_preview(JOB, b"x")
    blobs.put_picture(PICTURE, b"x")

    assert files(root) == [f"in/{JOB}", f"lib/{PICTURE}", f"out/{JOB}/12", f"preview/{JOB}"]


def test_files_when_stored_under_an_open_umask_then_only_their_owner_may_read_them(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        blobs = FileBlobs(tmp_path / "open")
        blobs.put_input(JOB, b"x")
        blobs.put_output(JOB, 1, b"x")
        blobs.put_preview(JOB, b"x")
        blobs.put_picture(PICTURE, b"x")
    finally:
        os.umask(before)

    modes = {
        str(path.relative_to(tmp_path / "open")): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*/*")
    }
    folders = dict.fromkeys(("in", "out", f"out/{JOB}", "preview", "lib"), 0o700)
    assert modes == folders | dict.fromkeys((f"in/{JOB}", f"out/{JOB}/1", f"preview/{JOB}", f"lib/{PICTURE}"), 0o600)


BAD_IDS = [
    "", ".", "..", "../in/x", "/etc/passwd", f"{JOB}/", f"../in/{JOB}", f"{JOB}\n", f"{JOB}\0", JOB.upper(), JOB[:-1],
    JOB + "0", "job_" + "g" * 32, "job_" + "*" * 32, "src_" + "0" * 32,
]  # fmt: skip


@pytest.mark.parametrize(
    "picture_id", [JOB, "../in/x", "src_" + "g" * 32, PICTURE[:-1], f"{PICTURE}\n", "bat_" + "0" * 32]
)
def test_id_of_a_picture_when_it_is_none_then_no_path_is_made_of_it(
    blobs: FileBlobs, root: Path, picture_id: str
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: blobs.put_picture(picture_id, b"x"),
        lambda: blobs.get_picture(picture_id),
        lambda: blobs.touch_picture(picture_id),
        lambda: blobs.delete_picture(picture_id),
    ]

    for call in calls:
        with pytest.raises(ValueError, match="picture's id"):
            call()
    assert files(root) == []


@pytest.mark.parametrize("job_id", BAD_IDS)
def test_id_when_it_is_none_then_no_path_is_made_of_it(blobs: FileBlobs, root: Path, job_id: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: blobs.put_input(job_id, b"x"),
        lambda: blobs.get_input(job_id),
        lambda: blobs.put_output(job_id, 1, b"x"),
        lambda: blobs.get_output(job_id, 1),
        lambda: blobs.put_preview(job_id, b"x"),
        lambda: blobs.get_preview(job_id),
        lambda: blobs.delete_output(job_id, 1),
        lambda: blobs.delete_job(job_id),
    ]

    for call in calls:
        with pytest.raises(ValueError, match="job id"):
            call()
    assert files(root) == []


def test_link_when_one_stands_where_a_picture_should_then_it_is_not_followed(
    blobs: FileBlobs, root: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (root / "out" / JOB).mkdir()
    for link in (root / "in" / JOB, root / "out" / JOB / "1", root / "preview" / JOB):
        link.symlink_to(secret)

    for call in ("get_input", "get_output", "get_preview"):
        with pytest.raises(StorageError):
            CALLS[call](blobs)
    blobs.put_input(JOB, b"mine")
    blobs.put_output(JOB, 1, b"mine")
    blobs.put_preview(JOB, b"mine")

    assert {blobs.get_input(JOB), blobs.get_output(JOB, 1), blobs.get_preview(JOB)} == {b"mine"}
    assert secret.read_bytes() == b"secret"


def test_link_when_one_stands_where_a_folder_should_then_it_is_not_followed(
    blobs: FileBlobs, root: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secrets"
    secret.mkdir()
    (secret / "1").write_bytes(b"secret")
    (root / "out" / JOB).symlink_to(secret)

    for call in ("get_output", "put_output", "delete_output"):
        with pytest.raises(StorageError):
            CALLS[call](blobs)
    blobs.delete_job(JOB)

    assert list((root / "out").iterdir()) == []
    assert (secret / "1").read_bytes() == b"secret"


@pytest.mark.parametrize("get_rid", [lambda blobs: blobs.delete_job(JOB), lambda blobs: blobs.sweep(-3600)])
def test_link_when_deleted_then_only_the_link_goes(
    blobs: FileBlobs, root: Path, tmp_path: Path, get_rid: Callable[[FileBlobs], object]
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (root / "in" / JOB).symlink_to(secret)

    get_rid(blobs)

    assert files(root) == []
    assert secret.read_bytes() == b"secret"


@pytest.mark.parametrize("call", ["put_input", "put_output", "put_preview"])
def test_put_when_its_name_can_not_be_taken_then_nothing_is_left(blobs: FileBlobs, root: Path, call: str) -> None:
    for place in (root / "in" / JOB, root / "out" / JOB / "1", root / "preview" / JOB):
        (place / "occupied").mkdir(parents=True)

    with pytest.raises(StorageError):
        CALLS[call](blobs)

    assert files(root) == []


def test_put_when_the_disk_is_full_then_nothing_is_left_and_the_old_one_stays(blobs: FileBlobs, root: Path) -> None:
    blobs.put_input(JOB, b"old")

    with files_end_at(1000), pytest.raises(StorageError) as error:
        blobs.put_input(JOB, bytes(2000))

    assert error.value.code == "storage_unavailable"
    assert files(root) == [f"in/{JOB}"]
    assert blobs.get_input(JOB) == b"old"


def test_check_when_the_disk_is_full_then_it_says_so_and_leaves_nothing(blobs: FileBlobs, root: Path) -> None:
    with files_end_at(0), pytest.raises(StorageError):
        blobs.check_writable()
    assert files(root) == []

    blobs.check_writable()

    assert files(root) == []


def test_output_when_stored_then_its_bytes_its_name_and_its_folder_are_on_disk(
    blobs: FileBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        synced.append(path_of(fd).replace(str(root), "").partition("/.tmp-")[0])

    monkeypatch.setattr(os, "fsync", note)
    # The second finds the folder: whoever made it may have died before its name was on disk.
    for fence in (1, 2):
        blobs.put_output(JOB, fence, b"x")

        # The file, which was opened by a temporary name, and the folders, in any order.
        assert sorted(synced) == ["/out", f"/out/{JOB}", f"/out/{JOB}"]
        synced.clear()


def test_output_when_stored_again_then_its_bytes_are_on_disk_before_they_take_the_name(
    blobs: FileBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put_output(JOB, 1, b"old")
    there: list[bytes] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        there.append(blobs.get_output(JOB, 1))

    monkeypatch.setattr(os, "fsync", note)
    blobs.put_output(JOB, 1, b"new")

    assert there == [b"old", b"new", b"new"], "the file, then the two folders"


@pytest.mark.parametrize("place", ["file", "out", JOB])
def test_output_when_a_sync_fails_then_it_is_not_stored(
    blobs: FileBlobs, root: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    fsync = os.fsync

    def fail(fd: int) -> None:
        path = path_of(fd)
        if ".tmp-" in path if place == "file" else path.endswith(f"/{place}"):
            raise OSError(errno.EIO, "the disk is broken")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(StorageError):
        blobs.put_output(JOB, 1, b"x")


def test_input_when_a_file_can_have_one_name_only_then_it_is_stored_all_the_same(
    blobs: FileBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)

    blobs.put_input(JOB, b"x")

    assert files(root) == [f"in/{JOB}"]
    assert blobs.get_input(JOB) == b"x"


def test_job_when_deleted_then_no_folder_that_all_jobs_share_is_listed(
    blobs: FileBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        blobs.put_output(a_job_id(number), 1, b"out")
    listed: list[str] = []

    def noting(ask: Callable) -> Callable:
        def note(path: int | str | Path) -> object:
            listed.append(path_of(path) if isinstance(path, int) else str(path))
            return ask(path)

        return note

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    blobs.delete_job(JOB)
    monkeypatch.undo()

    assert listed == [str(root / "out" / JOB)]
    assert not (root / "out" / JOB).exists()


def test_job_when_deleted_by_two_at_once_then_both_are_content(root: Path) -> None:
    gateways = [FileBlobs(root), FileBlobs(root)]
    for _ in range(50):
        for fence in range(5):
            gateways[0].put_output(JOB, fence, b"out")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda blobs: blobs.delete_job(JOB), gateways))

        assert list((root / "out").iterdir()) == []


def test_sweep_when_something_cannot_be_deleted_then_all_else_goes_and_it_is_told(blobs: FileBlobs, root: Path) -> None:
    for number in (1, 2):
        blobs.put_input(a_job_id(number), b"in")
        blobs.put_output(a_job_id(number), 1, b"out")
        (root / "out" / a_job_id(number) / "not ours").mkdir()
        blobs.put_preview(a_job_id(number), b"preview")

    with pytest.raises(StorageError):
        blobs.sweep(-3600)

    assert not [*root.glob("in/*"), *root.glob("preview/*")]


def test_sweep_when_files_are_old_then_those_go_with_what_a_crash_left(blobs: FileBlobs, root: Path) -> None:
    for number in (1, 2):
        blobs.put_input(a_job_id(number), b"in")
        blobs.put_output(a_job_id(number), 1, b"out")
        blobs.put_preview(a_job_id(number), b"preview")
    (root / "in" / ".tmp-0123456789abcdef").write_bytes(b"half")
    old = time.time() - 1000
    (root / "out" / JOB / ".tmp-0123456789abcdef").write_bytes(b"half")
    (root / "out" / ".tmp-0123456789abcdef").write_bytes(b"half")
    kept = [f"in/{a_job_id(2)}", f"out/{a_job_id(2)}/1", f"preview/{a_job_id(2)}"]
    for path in root.glob("*/*"):
        if path.name != a_job_id(2):
            os.utime(path, (old, old))

    assert blobs.sweep(1001 + 3600) == 0
    assert blobs.sweep(999) == 6

    assert files(root) == kept
    assert [path.name for path in (root / "out").iterdir()] == [a_job_id(2)]


def test_sweep_when_a_picture_was_touched_lately_then_it_stays(blobs: FileBlobs, root: Path) -> None:
    old = time.time() - 1000
    for picture_id in (PICTURE, OTHER_PICTURE):
        blobs.put_picture(picture_id, b"lib")
        os.utime(root / "lib" / picture_id, (old, old))

    blobs.touch_picture(PICTURE)

    assert blobs.sweep(999) == 1
    assert files(root) == [f"lib/{PICTURE}"]


def test_picture_when_stored_then_its_bytes_and_its_name_are_on_disk(
    blobs: FileBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(path_of(fd).replace(str(root), "").partition("-")[0]))

    blobs.put_picture(PICTURE, b"x")

    assert synced == ["/lib/.tmp", "/lib"]


def test_folder_when_two_processes_share_it_then_each_sees_what_the_other_stored(root: Path) -> None:
    gateway, worker = FileBlobs(root), FileBlobs(root)
    gateway.put_input(JOB, b"in")
    worker.put_output(JOB, 1, b"out")

    assert (worker.get_input(JOB), gateway.get_output(JOB, 1)) == (b"in", b"out")
    gateway.delete_job(JOB)
    with pytest.raises(NotFoundError):
        worker.get_output(JOB, 1)


def test_folder_when_it_can_not_be_made_then_the_start_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError):
        FileBlobs(tmp_path / "file" / "blobs")


def test_space_when_asked_for_then_it_is_that_of_the_disk_and_a_store_that_is_away_has_none(root: Path) -> None:
    blobs = FileBlobs(root)
    disk = shutil.disk_usage(root)

    free, size = blobs.space()

    assert size == disk.total
    assert abs(free - disk.free) < size / 10
    shutil.rmtree(root)
    assert blobs.space() == (0, 0)
