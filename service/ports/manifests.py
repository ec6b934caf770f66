"""What batches ask for, an item a line, durable before the batch is opened. Calls block."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.domain.batch import BatchId


@dataclass(frozen=True)
class ManifestPlace:
    """Where to read on in a manifest.

    Attributes:
        offset: of a line's first byte.
        num_skipped: so many lines from there are passed over.
    """

    offset: int = 0
    num_skipped: int = 0


class ManifestStore(Protocol):
    """Every method raises StorageError where the storage does not answer."""

    def put(self, batch_id: BatchId, lines: Iterable[bytes]) -> None:
        """Store the lines, none of which holds a line feed; returns only when they would survive a power cut."""
        ...

    def read(self, batch_id: BatchId, start: ManifestPlace, limit: int) -> tuple[Sequence[bytes], int]:
        """At most so many lines, and the offset of the line after them; NotFoundError if the manifest is gone."""
        ...

    def delete(self, batch_id: BatchId) -> None:
        """Forget the manifest; absent is fine."""
        ...

    def sweep(self, older_than_seconds: float) -> int:
        """Delete what crashes have left behind and is older than this; returns how many files."""
        ...
