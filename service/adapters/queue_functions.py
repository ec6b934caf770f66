"""The functions in the queue's server: which version is there, and that it is this process's or a newer one.

What they do is written in `lua/`; what changes of theirs are allowed, in `lua/version.lua`.
"""

import re
from importlib import resources
from typing import cast

import redis
from redis.exceptions import NoPermissionError

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_server import connect
from service.domain.errors import ConfigurationError, StorageError
from service.telemetry.logs import get_logger

# One library of several files, in this order: what is local in one is there for those after it.
_SOURCES = (
    "version.lua",
    "records.lua",
    "lines.lua",
    "batch_books.lua",
    "intake.lua",
    "leases.lua",
    "library.lua",
    "hooks.lua",
    "upkeep.lua",
    "batches.lua",
    "archive.lua",
    "vectors.lua",
    "workers.lua",
    "keys.lua",
    "audit.lua",
    "figures.lua",
)
_VERSION = re.compile(r"^local VERSION = (\d+)$", re.MULTILINE)
_ABSENT = 0
"""No functions at all, or those from before they had a version."""
# How a server says that it knows no functions, or not those that are in the text.
_REFUSALS = ("unknown command", "error compiling", "error registering")
_REMEDY = "run `xmdpt-serve functions` of this version with a REDIS_URL whose user may FUNCTION LOAD"


def functions_source() -> str:
    """The text of the function library."""
    folder = resources.files("service.adapters").joinpath("lua")
    return "".join(folder.joinpath(name).read_text() for name in _SOURCES)


def version_of(source: str) -> int:
    """The version that a library's text gives itself, >= 1; ValueError if it gives none."""
    match = _VERSION.search(source)
    if not match:
        raise ValueError("the library has no version")
    return int(match[1])


def load_functions(client: redis.Redis, source: str | None = None, *, replaces_newer: bool = False) -> int:
    """See that the server has the functions in this version or a newer one, which serves this process as well.

    Args:
        client: from `connect`; needs the right to FUNCTION LOAD only if they are absent or older.
        source: the library's text; the packaged one if None.
        replaces_newer: load the text also over a newer one.

    Returns:
        The version that is there now.

    Raises:
        ConfigurationError: they may not be loaded, or the server knows no functions, or refuses the text, or has one of
            their names in another library.
        StorageError: it does not answer, or not now: it is full, busy or read-only.
    """
    try:
        return _load(client, source or functions_source(), replaces_newer=replaces_newer)[1]
    except redis.RedisError as error:
        raise StorageError("queue_unavailable", f"the queue does not answer: {error}") from error


class RedisQueueFunctions:
    """QueueFunctions; for any thread."""

    def __init__(self, url: str) -> None:
        """Connects with the first call."""
        self._client, self._source = connect(url), functions_source()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ensure(self) -> None:
        """As the port says."""
        try:
            with queue_errors():
                before, now = _load(self._client, self._source)
        except ConfigurationError as error:
            # It may be mended while this process goes on.
            raise StorageError("queue_unavailable", error.detail) from error
        if before != now:
            get_logger().warning("functions_restored", before=before, now=now)


def _load(client: redis.Redis, source: str, *, replaces_newer: bool = False) -> tuple[int, int]:
    """The versions before and now; what the client raises for want of an answer stays as it is."""
    own, is_there = version_of(source), False
    try:
        while (found := _loaded_version(client)) < own or (found > own and replaces_newer):
            try:
                # Of two processes that find none, the slower one has to look again: it may be the older one.
                client.function_load(source, replace=found != _ABSENT or is_there)
            except redis.ResponseError as error:
                # What is replaced is not in the way: it is somebody else's.
                if "already exists" not in str(error) or is_there:
                    raise
                is_there = True
            else:
                return found, own
    except NoPermissionError as error:
        detail = f"the queue's functions are older than version {own}, and may not be loaded here: {_REMEDY}"
        raise ConfigurationError(detail) from error
    except redis.ResponseError as error:
        if "already exists" in str(error):
            detail = f"the queue's functions can't be loaded, another library of the server has such a name: {error}"
            raise ConfigurationError(detail) from error
        if any(refusal in str(error).lower() for refusal in _REFUSALS):
            detail = f"the queue's functions can't be loaded, Redis >= 7.0.15 or Valkey is needed: {error}"
            raise ConfigurationError(detail) from error
        raise
    return found, found


def _loaded_version(client: redis.Redis) -> int:
    try:
        return int(cast("int", client.fcall("q1_version", 0)))
    except redis.ResponseError as error:
        if "function not found" in str(error).lower():
            return _ABSENT
        raise
