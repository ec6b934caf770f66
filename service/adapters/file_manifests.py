"""Manifests of batches as files: `batches/<batch>`, on disk before the call returns."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from service.adapters.blob_names import checked_batch
from service.adapters.durable_files import PRIVATE_FOLDER, delete, found, open_to_read, put, sweep, sync_folder
from service.adapters.error_mapping import storage_errors
from service.domain.batch import BatchId
from service.ports.manifests import ManifestPlace


class FileManifests:
    """ManifestStore in one folder, which every gateway must see."""

    def __init__(self, root: Path) -> None:
        """Make the folder if it is absent.

        Raises:
            StorageError: it can't be made.
        """
        self._folder = root / "batches"
        with storage_errors():
            self._folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            sync_folder(root)

    def put(self, batch_id: BatchId, lines: Iterable[bytes]) -> None:
        """As the port says."""
        with storage_errors():
            put(self._folder, checked_batch(batch_id), (line + b"\n" for line in lines))

    def read(self, batch_id: BatchId, start: ManifestPlace, limit: int) -> tuple[Sequence[bytes], int]:
        """As the port says."""
        path = self._folder / checked_batch(batch_id)
        with storage_errors(), found(self._folder, "what this batch asks for is gone"), open_to_read(path) as file:
            file.seek(start.offset)
            for _ in range(start.num_skipped):
                file.readline()
            lines = [line for _ in range(limit) if (line := file.readline())]
            return lines, file.tell()

    def delete(self, batch_id: BatchId) -> None:
        """As the port says."""
        with storage_errors():
            delete(self._folder / checked_batch(batch_id))

    def sweep(self, older_than_seconds: float) -> int:
        """As the port says."""
        with storage_errors():
            return sweep([self._folder], older_than_seconds)
