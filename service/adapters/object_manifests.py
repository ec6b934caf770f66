"""Manifests of batches as objects: `batches/<batch>`, stored when the call returns."""

from collections.abc import Iterable, Sequence

from service.adapters.blob_names import checked_batch
from service.adapters.object_store import ObjectStore
from service.domain.batch import BatchId
from service.ports.manifests import ManifestPlace

# Some hundred lines; a line may be longer.
_READ_BYTES = 1 << 18


class ObjectManifests:
    """ManifestStore in one bucket, which every gateway can reach."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, batch_id: BatchId, lines: Iterable[bytes]) -> None:
        """As the port says; a whole manifest is in memory for a moment, and no longer than the call that brought it."""
        self._store.put(f"batches/{checked_batch(batch_id)}", b"".join(line + b"\n" for line in lines))

    def read(self, batch_id: BatchId, start: ManifestPlace, limit: int) -> tuple[Sequence[bytes], int]:
        """As the port says."""
        name, num_wanted = f"batches/{checked_batch(batch_id)}", start.num_skipped + limit
        content = bytearray()
        while content.count(b"\n") < num_wanted:
            part = self._store.get_part(name, start.offset + len(content), _READ_BYTES)
            if not part:
                break
            content += part
        lines = [line + b"\n" for line in bytes(content).split(b"\n")[:-1][:num_wanted]]
        return lines[start.num_skipped :], start.offset + sum(map(len, lines))

    def delete(self, batch_id: BatchId) -> None:
        """As the port says."""
        self._store.delete(f"batches/{checked_batch(batch_id)}")

    def sweep(self, older_than_seconds: float) -> int:
        """As the port says."""
        return self._store.sweep("batches", older_than_seconds)
