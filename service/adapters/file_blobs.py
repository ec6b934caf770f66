"""Pictures as files: `in/<job>`, `out/<job>/<fence>`, `lib/<picture>`, on disk before a call returns; `preview/<job>`.

A delivery's second picture is `out/<job>/<fence>.1`, and so on. It knows neither what is in them nor which of them are
still needed: the queue says what may go.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.adapters.error_mapping import storage_errors
from service.domain.errors import NotFoundError
from service.domain.job import JOB_ID, JobId
from service.domain.library import PICTURE_ID

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE_FILE = 0o600
_PRIVATE_DIR = 0o700


class FileBlobs:
    """BlobStore in one folder, which every gateway and worker must see."""

    def __init__(self, root: Path) -> None:
        """Make the folders if they are absent.

        Raises:
            StorageError: they can't be made.
        """
        self._inputs, self._outputs, self._previews = root / "in", root / "out", root / "preview"
        self._library = root / "lib"
        self._folders_of_jobs = (self._inputs, self._outputs, self._previews)
        self._folders = (*self._folders_of_jobs, self._library)
        with storage_errors():
            for folder in self._folders:
                folder.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
            _sync_dir(root)

    def put_input(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        with storage_errors():
            _put(self._inputs, _checked(job_id), content)

    def get_input(self, job_id: JobId) -> bytes:
        """As the port says."""
        return _get(self._inputs, self._inputs / _checked(job_id))

    def put_output(self, job_id: JobId, fence: int, content: bytes, index: int = 0) -> None:
        """As the port says."""
        folder = self._outputs / _checked(job_id)
        with storage_errors():
            with suppress(FileExistsError):
                folder.mkdir(mode=_PRIVATE_DIR)
            _put(folder, _output_name(fence, index), content)
            # Even if the folder was there: whoever made it may have died before this.
            _sync_dir(self._outputs)

    def get_output(self, job_id: JobId, fence: int, index: int = 0) -> bytes:
        """As the port says."""
        return _get(self._outputs, self._outputs / _checked(job_id) / _output_name(fence, index))

    def put_preview(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        with storage_errors():
            _put(self._previews, _checked(job_id), content, is_durable=False)

    def get_preview(self, job_id: JobId) -> bytes:
        """As the port says."""
        return _get(self._previews, self._previews / _checked(job_id))

    def delete_output(self, job_id: JobId, fence: int) -> None:
        """As the port says; the job's folder stays, as its next delivery may be writing."""
        with storage_errors(), suppress(FileNotFoundError), _opened(self._outputs / _checked(job_id)) as folder:
            for name in os.listdir(folder):
                if name.partition(".")[0] == f"{fence:d}":
                    _unlink(name, folder)

    def delete_job(self, job_id: JobId) -> None:
        """As the port says; any number of deliveries may have left an output."""
        with storage_errors():
            for folder in self._folders_of_jobs:
                _delete(folder / _checked(job_id))

    def put_picture(self, picture_id: str, content: bytes) -> None:
        """As the port says."""
        with storage_errors():
            _put(self._library, _checked_picture(picture_id), content)

    def get_picture(self, picture_id: str) -> bytes:
        """As the port says."""
        return _get(self._library, self._library / _checked_picture(picture_id))

    def touch_picture(self, picture_id: str) -> None:
        """As the port says."""
        with storage_errors(), _found(self._library), _opened(self._library) as folder:
            os.utime(_checked_picture(picture_id), dir_fd=folder, follow_symlinks=False)

    def delete_picture(self, picture_id: str) -> None:
        """As the port says."""
        with storage_errors():
            _delete(self._library / _checked_picture(picture_id))

    def sweep(self, older_than_seconds: float) -> int:
        """As the port says.

        Args:
            older_than_seconds: longer than any job may wait, run and keep its pictures, and than the library keeps a
                picture after its last touch: whatever is older goes.
        """
        oldest = time.time() - older_than_seconds
        num_files = 0
        with storage_errors():
            for folder in self._folders:
                for entry in os.scandir(folder):
                    # A job's folder is as old as what was last put there. Somebody else may delete it meanwhile.
                    with suppress(FileNotFoundError):
                        if entry.stat(follow_symlinks=False).st_mtime < oldest:
                            num_files += _delete(Path(entry.path))
        return num_files

    def check_writable(self) -> None:
        """As the port says."""
        probe = _temporary_name()
        with storage_errors(), _opened(self._outputs) as folder:
            try:
                _write_new(probe, folder, b"x", is_durable=True)
            finally:
                _unlink(probe, folder)


def _checked(job_id: JobId) -> JobId:
    """Names come from ids only: nothing that a caller wrote becomes a path."""
    if not JOB_ID.fullmatch(job_id):
        msg = "a job id is job_ and 32 lower-case hex digits"
        raise ValueError(msg)
    return job_id


def _checked_picture(picture_id: str) -> str:
    """Likewise of a picture of the library."""
    if not PICTURE_ID.fullmatch(picture_id):
        msg = "a picture's id is src_ or pos_ and 32 lower-case hex digits"
        raise ValueError(msg)
    return picture_id


def _output_name(fence: int, index: int) -> str:
    return f"{fence:d}.{index:d}" if index else f"{fence:d}"


def _temporary_name() -> str:
    return f".tmp-{secrets.token_hex(8)}"


def _put(folder: Path, name: str, content: bytes, *, is_durable: bool = True) -> None:
    """All of it under its name, or nothing: written aside and renamed; if durable, content and name are synced."""
    temporary = _temporary_name()
    with _opened(folder) as fd:
        try:
            _write_new(temporary, fd, content, is_durable=is_durable)
            os.replace(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        except OSError:
            _unlink(temporary, fd)
            raise
        if is_durable:
            os.fsync(fd)


def _write_new(name: str, folder: int, content: bytes, *, is_durable: bool) -> None:
    with open(os.open(name, _WRITE, _PRIVATE_FILE, dir_fd=folder), "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        if is_durable:
            os.fsync(file.fileno())


def _get(store: Path, path: Path) -> bytes:
    with (
        storage_errors(),
        _found(store),
        _opened(path.parent) as folder,
        open(os.open(path.name, _READ, dir_fd=folder), "rb") as file,
    ):
        return file.read()


@contextmanager
def _found(store: Path) -> Iterator[None]:
    """NotFoundError if there is no such file."""
    try:
        yield
    except FileNotFoundError:
        # Without its folder the whole store is away, and its pictures may come back.
        store.stat()
        raise NotFoundError("the picture is gone") from None


def _delete(path: Path) -> int:
    """Forget a file, or a folder with the files in it; of a link only itself. Returns how many files there were."""
    try:
        with _opened(path) as folder:
            num_files = sum(_unlink(name, folder) for name in os.listdir(folder))
        os.rmdir(path)
    except FileNotFoundError:
        return 0
    except NotADirectoryError:
        return int(_unlink(path))
    return num_files


def _unlink(name: str | Path, folder: int | None = None) -> bool:
    """Whether it was there to be deleted."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """The folder itself, never one that a link in its place points to."""
    fd = os.open(folder, _READ_DIR)
    try:
        yield fd
    finally:
        os.close(fd)


def _sync_dir(folder: Path) -> None:
    with _opened(folder) as fd:
        os.fsync(fd)
