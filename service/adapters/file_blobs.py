"""Pictures as files: `in/<job>` and `out/<job>.<fence>`, on disk before the call returns, and `preview/<job>`.

It knows neither what is in them nor which jobs still need them: the queue says what may go.
"""

import os
import secrets
import time
from pathlib import Path

from service.adapters.error_mapping import storage_errors
from service.domain.errors import NotFoundError
from service.domain.job import JOB_ID, JobId

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
        self._folders = (self._inputs, self._outputs, self._previews)
        with storage_errors():
            for folder in self._folders:
                folder.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
            _sync_dir(root)

    def put_input(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        _put(self._input(job_id), content)

    def get_input(self, job_id: JobId) -> bytes:
        """As the port says."""
        return _get(self._input(job_id), job_id)

    def put_output(self, job_id: JobId, fence: int, content: bytes) -> None:
        """As the port says."""
        _put(self._output(job_id, fence), content)

    def get_output(self, job_id: JobId, fence: int) -> bytes:
        """As the port says."""
        return _get(self._output(job_id, fence), job_id)

    def put_preview(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        _put(self._preview(job_id), content, is_durable=False)

    def get_preview(self, job_id: JobId) -> bytes:
        """As the port says."""
        return _get(self._preview(job_id), job_id)

    def delete_output(self, job_id: JobId, fence: int) -> None:
        """As the port says."""
        with storage_errors():
            self._output(job_id, fence).unlink(missing_ok=True)

    def delete_job(self, job_id: JobId) -> None:
        """As the port says; lists the folder of outputs, as any delivery may have left one."""
        with storage_errors():
            self._input(job_id).unlink(missing_ok=True)
            self._preview(job_id).unlink(missing_ok=True)
            for output in self._outputs.glob(f"{job_id}.*"):
                output.unlink(missing_ok=True)

    def sweep(self, older_than_seconds: float) -> int:
        """As the port says.

        Args:
            older_than_seconds: longer than any job may wait, run and keep its pictures: whatever is older goes.
        """
        oldest = time.time() - older_than_seconds
        num_files = 0
        with storage_errors():
            for folder in self._folders:
                for entry in os.scandir(folder):
                    try:
                        is_stray = entry.stat(follow_symlinks=False).st_mtime < oldest
                        if is_stray:
                            os.unlink(entry.path)
                            num_files += 1
                    except FileNotFoundError:
                        continue  # Somebody else deleted it.
        return num_files

    def check_writable(self) -> None:
        """As the port says."""
        probe = _temporary(self._outputs)
        with storage_errors():
            try:
                _write_new(probe, b"x", is_durable=True)
            finally:
                probe.unlink(missing_ok=True)

    def _input(self, job_id: JobId) -> Path:
        return self._inputs / _checked(job_id)

    def _output(self, job_id: JobId, fence: int) -> Path:
        return self._outputs / f"{_checked(job_id)}.{fence:d}"

    def _preview(self, job_id: JobId) -> Path:
        return self._previews / _checked(job_id)


def _checked(job_id: JobId) -> JobId:
    """Names come from ids only: nothing that a caller wrote becomes a path."""
    if not JOB_ID.fullmatch(job_id):
        msg = "a job id is job_ and 32 lower-case hex digits"
        raise ValueError(msg)
    return job_id


def _temporary(folder: Path) -> Path:
    return folder / f".tmp-{secrets.token_hex(8)}"


def _put(path: Path, content: bytes, *, is_durable: bool = True) -> None:
    """All of it under its name, or nothing: written aside and renamed; if durable, content and name are synced."""
    temporary = _temporary(path.parent)
    with storage_errors():
        try:
            _write_new(temporary, content, is_durable=is_durable)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        if is_durable:
            _sync_dir(path.parent)


def _write_new(path: Path, content: bytes, *, is_durable: bool) -> None:
    with open(os.open(path, _WRITE, _PRIVATE_FILE), "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        if is_durable:
            os.fsync(file.fileno())


def _get(path: Path, job_id: JobId) -> bytes:
    with storage_errors():
        try:
            with open(os.open(path, _READ), "rb") as file:
                return file.read()
        except FileNotFoundError:
            # Without its folder the whole store is away, and its pictures may come back.
            path.parent.stat()
            raise NotFoundError(f"the pictures of {job_id} are gone") from None


def _sync_dir(folder: Path) -> None:
    fd = os.open(folder, _READ_DIR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
