"""Batches made ahead by a thread, so that decoding pictures overlaps with the steps."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")
_AHEAD = 3


class Prefetch(Generic[Batch]):
    """`prefetch[index]` is `make(index)`; what comes after it is being made meanwhile. To be asked in order."""

    def __init__(self, make: Callable[[int], Batch], length: int) -> None:
        self._make, self._length = make, length
        self._pool = ThreadPoolExecutor(1, "batches")
        self._ahead: deque[tuple[int, Future[Batch]]] = deque()

    def __getitem__(self, index: int) -> Batch:
        """Return the batch of a step, waiting for it if need be."""
        if not self._ahead or self._ahead[0][0] != index:
            self._ahead.clear()
        first = self._ahead[-1][0] + 1 if self._ahead else index
        for number in range(first, min(index + 1 + _AHEAD, self._length)):
            self._ahead.append((number, self._pool.submit(self._make, number)))
        return self._ahead.popleft()[1].result()
