"""Pictures as files: `in/<job>`, `out/<job>/<fence>`, `lib/<picture>`, on disk before a call returns; `preview/<job>`.

A delivery's second picture is `out/<job>/<fence>.1`, and so on. It knows neither what is in them nor which of them are
still needed: the queue says what may go.
"""

import os
from contextlib import suppress
from pathlib import Path

from service.adapters.blob_names import checked_job, checked_picture, is_output_of, output_name
from service.adapters.durable_files import (
    PRIVATE_FOLDER,
    check_writable,
    delete,
    found,
    open_to_read,
    opened,
    put,
    put_new,
    sweep,
    sync_folder,
    unlink,
)
from service.adapters.error_mapping import storage_errors
from service.domain.job import JobId

_GONE = "the picture is gone"


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
                folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            sync_folder(root)

    def put_input(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        with storage_errors():
            put_new(self._inputs, checked_job(job_id), [content])

    def get_input(self, job_id: JobId) -> bytes:
        """As the port says."""
        return _get(self._inputs, self._inputs / checked_job(job_id))

    def put_output(self, job_id: JobId, fence: int, content: bytes, index: int = 0) -> None:
        """As the port says."""
        folder = self._outputs / checked_job(job_id)
        with storage_errors():
            with suppress(FileExistsError):
                folder.mkdir(mode=PRIVATE_FOLDER)
            # The folder's name too, even if it was there: whoever made it may have died before it was on disk.
            put_new(folder, output_name(fence, index), [content], self._outputs)

    def get_output(self, job_id: JobId, fence: int, index: int = 0) -> bytes:
        """As the port says."""
        return _get(self._outputs, self._outputs / checked_job(job_id) / output_name(fence, index))

    def put_preview(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        with storage_errors():
            put(self._previews, checked_job(job_id), [content], is_durable=False)

    def get_preview(self, job_id: JobId) -> bytes:
        """As the port says."""
        return _get(self._previews, self._previews / checked_job(job_id))

    def delete_output(self, job_id: JobId, fence: int) -> None:
        """As the port says; the job's folder stays, as its next delivery may be writing."""
        with storage_errors(), suppress(FileNotFoundError), opened(self._outputs / checked_job(job_id)) as folder:
            for name in os.listdir(folder):
                if is_output_of(name, fence):
                    unlink(name, folder)

    def delete_job(self, job_id: JobId) -> None:
        """As the port says; any number of deliveries may have left an output."""
        with storage_errors():
            for folder in self._folders_of_jobs:
                delete(folder / checked_job(job_id))

    def put_picture(self, picture_id: str, content: bytes) -> None:
        """As the port says."""
        with storage_errors():
            put(self._library, checked_picture(picture_id), [content])

    def get_picture(self, picture_id: str) -> bytes:
        """As the port says."""
        return _get(self._library, self._library / checked_picture(picture_id))

    def touch_picture(self, picture_id: str) -> None:
        """As the port says."""
        with storage_errors(), found(self._library, _GONE), opened(self._library) as folder:
            os.utime(checked_picture(picture_id), dir_fd=folder, follow_symlinks=False)

    def delete_picture(self, picture_id: str) -> None:
        """As the port says."""
        with storage_errors():
            delete(self._library / checked_picture(picture_id))

    def sweep(self, older_than_seconds: float) -> int:
        """As the port says.

        Args:
            older_than_seconds: longer than any job may wait, run and keep its pictures, and than the library keeps a
                picture after its last touch: whatever is older goes.
        """
        with storage_errors():
            return sweep(self._folders, older_than_seconds)

    def space(self) -> tuple[int, int]:
        """Bytes of the disk: free for us, and in all; (0, 0) if it does not say."""
        try:
            disk = os.statvfs(self._outputs)
        except OSError:
            return 0, 0
        return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize

    def check_writable(self) -> None:
        """As the port says."""
        with storage_errors():
            check_writable(self._outputs)


def _get(store: Path, path: Path) -> bytes:
    with storage_errors(), found(store, _GONE), open_to_read(path) as file:
        return file.read()
