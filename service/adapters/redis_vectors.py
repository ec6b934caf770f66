"""The vector cache of all workers, in the queue's server.

It computes no vector, and it never gets in the way: a server that does not answer, or is full, is an empty cache.
"""

import base64
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np
import redis

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect, connect_async
from service.domain.errors import StorageError
from service.ports.backend import F32
from service.ports.vectors import Lookup, VectorWish

# The client decodes every answer as text, so vectors travel as base64 of little-endian float32.
_DTYPE = np.dtype("<f4")
# What idle workers encode in a second or so: who waits longer does not wait any more.
_MAX_WISHES = 100


class RedisVectorCache:
    """VectorCache of one worker; for any thread."""

    def __init__(self, url: str, keys: RedisKeys, *, vector_size: int, max_entries: int, lock_seconds: float) -> None:
        """Each instance is a maker of its own; connects with the first call.

        Args:
            url: the server.
            keys: names of the queue.
            vector_size: D of every vector; an entry of another size counts as absent.
            max_entries: of all workers together; beyond, the least recently used go.
            lock_seconds: how long others wait for a vector that one was told to make.
        """
        self._client = connect(url)
        self._prefix = keys.prefix
        self._maker = uuid.uuid4().hex
        self._num_bytes = vector_size * _DTYPE.itemsize
        self._max_entries = max_entries
        self._lock_ms = round(1000 * lock_seconds)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def look_up(self, keys: Sequence[str]) -> Sequence[Lookup]:
        """As the port says; who was told `yours` is told so until it has put or abandoned the vector."""
        # Base64 makes 4 characters of each 3 bytes begun.
        num_characters = 4 * -(-self._num_bytes // 3)
        try:
            found = self._call("q1_vectors_look_up", self._maker, self._lock_ms, num_characters, *keys)
        except StorageError:
            return ["yours" for _ in keys]
        return [answer if answer in ("yours", "theirs") else self._vector(answer) for answer in found]

    def put(self, key: str, vector: F32) -> None:
        """As the port says; a full server keeps nothing."""
        text = base64.b64encode(vector.astype(_DTYPE).tobytes()).decode()
        try:
            self._call("q1_vector_put", key, text, self._max_entries)
        except StorageError as error:
            if isinstance(error.__cause__, redis.ResponseError):
                # Refused, not silent: nobody shall wait for what won't be there.
                self.abandon(key)

    def abandon(self, key: str) -> None:
        """As the port says."""
        with suppress(StorageError):
            self._call("q1_vector_abandon", self._maker, key)

    def take_wish(self) -> VectorWish | None:
        """As the port says."""
        with suppress(StorageError):
            wished = self._call("q1_vector_wish_take")
            return VectorWish(*wished.split(" ")[:3]) if wished else None
        return None

    def _vector(self, text: str) -> Lookup:
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError:
            return "yours"
        return np.frombuffer(content, _DTYPE).astype(np.float32) if len(content) == self._num_bytes else "yours"

    def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", self._client.fcall(function, 1, self._prefix, *arguments))


class RedisKnownVectors:
    """KnownVectors; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys) -> None:
        """Connects with the first call."""
        self._client, self._keys = connect_async(url), keys

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def has(self, key: str) -> bool:
        """As the port says."""
        with suppress(StorageError), queue_errors():
            return bool(await self._client.exists(self._keys.vector(key)))
        return False

    async def wish(self, wish: VectorWish) -> None:
        """As the port says."""
        text = f"{wish.kind} {wish.picture_id} {wish.digest}"
        with suppress(StorageError), queue_errors():
            await self._client.fcall("q1_vector_wish", 1, self._keys.prefix, text, _MAX_WISHES)
