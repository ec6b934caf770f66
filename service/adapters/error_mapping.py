"""Foreign exceptions become ours where adapters call; nothing above sees redis or OSError.

It decides nothing about repeating: that is the caller's.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from service.domain.errors import StorageError

# The last is cuBLAS' and cuDNN's, as in CUBLAS_STATUS_ALLOC_FAILED.
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc", "alloc_failed")


def is_out_of_memory(text: str) -> bool:
    """Tell from a runtime's error text whether a smaller batch may fit."""
    return any(sign in text.lower() for sign in _OUT_OF_MEMORY)


@contextmanager
def queue_errors() -> Iterator[None]:
    """Turn what the Redis client raises into StorageError `queue_unavailable`.

    The foreign text stays in the cause: it may hold addresses, and the detail may reach a client.
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise StorageError("queue_unavailable", f"the queue does not answer ({type(error).__name__})") from error


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what the file system raises into StorageError `storage_unavailable`."""
    try:
        yield
    except OSError as error:
        detail = f"the picture store does not answer ({error.strerror or type(error).__name__})"
        raise StorageError("storage_unavailable", detail) from error
