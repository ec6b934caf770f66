"""A vector cache in memory: what a worker has put, and who makes what."""

import threading
from collections.abc import Sequence

import numpy as np

from service.ports.vectors import Lookup, VectorWish


class MemoryVectors:
    """Shared by the workers of a test; `num_puts` counts the vectors that were made."""

    def __init__(self) -> None:
        self.vectors: dict[str, np.ndarray] = {}
        self.making: set[str] = set()
        self.wishes: list[VectorWish] = []
        self.num_puts = 0
        self._lock = threading.Lock()

    def look_up(self, keys: Sequence[str]) -> Sequence[Lookup]:
        with self._lock:
            return [self._look_up(key) for key in keys]

    def _look_up(self, key: str) -> Lookup:
        if key in self.vectors:
            return self.vectors[key]
        if key in self.making:
            return "theirs"
        self.making.add(key)
        return "yours"

    def put(self, key: str, vector: np.ndarray) -> None:
        with self._lock:
            self.num_puts += 1
            self.vectors[key] = vector
            self.making.discard(key)

    def abandon(self, key: str) -> None:
        with self._lock:
            self.making.discard(key)

    def take_wish(self) -> VectorWish | None:
        with self._lock:
            return self.wishes.pop(0) if self.wishes else None
