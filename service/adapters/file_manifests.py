"""Manifests of batches as files: `batches/<batch>`, on disk before the call returns."""

import os
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from service.adapters.error_mapping import storage_errors
from service.domain.batch import BATCH_ID, BatchId
from service.domain.errors import NotFoundError
from service.ports.manifests import ManifestPlace

_PRIVATE_FILE = 0o600
_PRIVATE_DIR = 0o700


class FileManifests:
    """ManifestStore in one folder, which every gateway must see."""

    def __init__(self, root: Path) -> None:
        """Make the folder if it is absent.

        Raises:
            StorageError: it can't be made.
        """
        self._folder = root / "batches"
        with storage_errors():
            self._folder.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
            _sync(root)

    def put(self, batch_id: BatchId, lines: Iterable[bytes]) -> None:
        """As the port says: written aside, renamed, both synced."""
        temporary = self._folder / f".tmp-{secrets.token_hex(8)}"
        with storage_errors():
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with open(os.open(temporary, flags, _PRIVATE_FILE), "wb") as file:
                    for line in lines:
                        file.write(line + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, self._path(batch_id))
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync(self._folder)

    def read(self, batch_id: BatchId, start: ManifestPlace, limit: int) -> tuple[Sequence[bytes], int]:
        """As the port says."""
        with storage_errors():
            try:
                fd = os.open(self._path(batch_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                # Without its folder the whole store is away, and may come back.
                self._folder.stat()
                raise NotFoundError("what this batch asks for is gone") from None
            with open(fd, "rb") as file:
                file.seek(start.offset)
                for _ in range(start.num_skipped):
                    file.readline()
                lines = [line for _ in range(limit) if (line := file.readline())]
                return lines, file.tell()

    def delete(self, batch_id: BatchId) -> None:
        """As the port says."""
        with storage_errors():
            self._path(batch_id).unlink(missing_ok=True)

    def sweep(self, older_than_seconds: float) -> int:
        """As the port says."""
        oldest = time.time() - older_than_seconds
        num_files = 0
        with storage_errors():
            for entry in os.scandir(self._folder):
                # Somebody else may delete it meanwhile.
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)
                        num_files += 1
        return num_files

    def _path(self, batch_id: BatchId) -> Path:
        """Names come from ids only: nothing that a caller wrote becomes a path."""
        if not BATCH_ID.fullmatch(batch_id):
            msg = "a batch's id is bat_ and 32 lower-case hex digits"
            raise ValueError(msg)
        return self._folder / batch_id


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
