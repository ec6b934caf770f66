"""A batch in the making: its items are collected, a line each, and nothing else of them stays in memory."""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from service.domain.batch import CUSTOM_ID, BatchId, ItemFailure
from service.domain.errors import RequestError, StorageError
from service.gateway.batch_items import BatchItem, canonical, item_to_line

MAX_ITEMS = 10_000
MAX_BYTES = 40_000_000
# More than this is collected on disk.
_SPOOL_BYTES = 1_000_000


@dataclass(frozen=True)
class _Line:
    offset: int
    num_bytes: int
    source: int


class BatchDraft:
    """Collects items in the order of the call and gives them back by source, so that its vector is made once.

    Attributes:
        id: of the batch.
        num_items: so far.
        cost: row-steps of all items so far.
        failures: the first items that can't become jobs, as number and failure, at most 20.
        stored: numbers of the items whose pictures are stored.
    """

    _MAX_FAILURES = 20

    def __init__(self) -> None:
        self.id: BatchId = f"bat_{secrets.token_hex(16)}"
        self.num_items = self.cost = 0
        self.failures: list[tuple[int, ItemFailure]] = []
        self.stored: list[int] = []
        self._spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - closed by `__exit__`
        self._lines: list[_Line] = []
        self._names: set[str] = set()
        self._sources: dict[str, int] = {}
        self._digest = hashlib.sha256()
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def name(self, number: int, custom_id: object) -> tuple[str, ItemFailure | None]:
        """The name of an item, each of which is asked for once; and why the item fails if what it was given is no good.

        Args:
            number: of the item.
            custom_id: as the client gave it; None for none.
        """
        failure = None
        if isinstance(custom_id, str) and CUSTOM_ID.fullmatch(custom_id) and custom_id not in self._names:
            name = custom_id
        else:
            name = self._free_name(number)
            if custom_id is not None:
                is_repeated = isinstance(custom_id, str) and custom_id in self._names
                failure = _bad_name(is_repeated=is_repeated)
        self._names.add(name)
        return name, failure

    def add(self, item: BatchItem, content: str = "") -> None:
        """Add an item.

        Args:
            item: with its name.
            content: what decides the answer besides: the digest of pictures that came with the call.

        Raises:
            RequestError: `body_too_large`.
            StorageError: `storage_unavailable`.
        """
        line = item_to_line(item)
        source = self._sources.setdefault(item.source_id or content, len(self._sources))
        self._num_bytes += len(line)
        if self._num_bytes > MAX_BYTES:
            raise RequestError("body_too_large", f"the items may take {MAX_BYTES} bytes with all that they name")
        try:
            offset = self._spool.seek(0, 2)
            self._spool.write(line)
        except OSError as error:
            raise StorageError("storage_unavailable", "the batch can't be stored at present") from error
        self._lines.append(_Line(offset, len(line), source))
        self._digest.update(canonical(item) + content.encode())
        self.num_items += 1
        self.cost += item.cost
        if item.failure and len(self.failures) < self._MAX_FAILURES:
            self.failures.append((item.number, item.failure))

    def lines(self) -> Iterator[bytes]:
        """The manifest: first all items of the source that was named first."""
        for line in sorted(self._lines, key=lambda line: line.source):
            self._spool.seek(line.offset)
            yield self._spool.read(line.num_bytes)

    @property
    def fingerprint(self) -> str:
        """64 hex digits over all items."""
        return self._digest.hexdigest()

    def _free_name(self, number: int) -> str:
        name, tries = f"item-{number}", 1
        while name in self._names:
            tries += 1
            name = f"item-{number}.{tries}"
        return name


def _bad_name(*, is_repeated: bool) -> ItemFailure:
    detail = "must have 1 to 64 letters, digits, dots, dashes and underscores, no dot first"
    if is_repeated:
        detail = "is the name of another item of this batch"
    return ItemFailure("validation", f"/custom_id {detail}", (("/custom_id", detail),))
