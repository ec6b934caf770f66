"""Connections to Redis or Valkey, and whether it can be trusted with accepted jobs.

It knows no job, no key and no function.
"""

from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.adapters.queue_calls import AsyncRedis, ThreadedRedis
from service.domain.errors import ConfigurationError, StorageError

CONNECT_TIMEOUT_SECONDS = 1.0
CALL_TIMEOUT_SECONDS = 2.0
_MAX_ASYNC_CONNECTIONS = 64
# What keeps an accepted job: never evicted, on disk before the answer.
_NEEDED_SETTINGS = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"}


def connect(url: str, call_timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> redis.Redis:
    """A client for threads; a broken connection is tried once more, a slow server is not."""
    # A repeat after a timeout would double the time that a caller waits for its 503.
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return ThreadedRedis.from_url(url, retry=retry, **_options(call_timeout_seconds))


def connect_async(url: str, call_timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> redis.asyncio.Redis:
    """Likewise for coroutines; at most 64 connections, a call beyond waits its turn."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_ASYNC_CONNECTIONS,
        timeout=CALL_TIMEOUT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        **_options(call_timeout_seconds),
    )
    return AsyncRedis.from_pool(pool)


def check_server(client: redis.Redis, *, allow_unsafe: bool = False) -> str:
    """Refuse a server that may lose accepted jobs.

    Args:
        client: from `connect`.
        allow_unsafe: the operator takes the risk.

    Returns:
        Empty if the server is safe, else the line to log before going on.

    Raises:
        ConfigurationError: the server is unsafe and that is not allowed.
        StorageError: it does not answer.
    """
    try:
        found = cast("dict[str, str]", client.config_get(*_NEEDED_SETTINGS))
        wrong = [
            f"{name} is {found.get(name, 'unknown')}, not {value}"
            for name, value in _NEEDED_SETTINGS.items()
            if found.get(name) != value
        ]
    except redis.ResponseError as error:
        wrong = [f"its settings can't be read ({error})"]
    except redis.RedisError as error:
        raise StorageError("queue_unavailable", f"the queue does not answer: {error}") from error
    if not wrong:
        return ""
    complaint = f"this Redis may lose accepted jobs: {'; '.join(wrong)}"
    if not allow_unsafe:
        remedy = "change that, or take the risk with XMDPT_QUEUE__ALLOW_UNSAFE_SERVER=true"
        raise ConfigurationError(f"{complaint}: {remedy}")
    return complaint


def _options(call_timeout_seconds: float) -> dict[str, Any]:
    return {
        "decode_responses": True,
        # Redis 7.0 and Valkey speak both; version 2 without the driver's name opens a connection without questions. The
        # time-out of a question would be taken for a broken connection and tried once more.
        "protocol": 2,
        "driver_info": None,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_SECONDS, call_timeout_seconds),
        "socket_timeout": call_timeout_seconds,
    }
