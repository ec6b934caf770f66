"""API keys in the queue's server, so that every gateway knows them and none needs a restart."""

import json
import secrets
from collections.abc import Sequence
from typing import Any, cast

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect, connect_async
from service.domain.access import MAX_LIVE_KEYS, ApiKey, CallerLimits, Scope
from service.domain.errors import StorageError
from service.domain.stored_form import stored_form
from service.ports.keys import AddVerdict
from service.telemetry.logs import get_logger

_LINK_SECRET_BYTES = 32


class RedisKeyRing:
    """KeyRing; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys) -> None:
        """Connects with the first call."""
        self._client, self._keys = connect_async(url), keys

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def find(self, key_id: str) -> ApiKey | None:
        """As the port says."""
        with queue_errors():
            record = await cast("Any", self._client.hget(self._keys.api_keys, key_id))
        return _key(record) if record else None


class RedisKeyRegister:
    """KeyRegister."""

    def __init__(self, url: str, keys: RedisKeys) -> None:
        """Connects with the first call; the queue's functions must have been loaded."""
        self._client, self._keys = connect(url), keys

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def add(self, key: ApiKey) -> AddVerdict:
        """As the port says."""
        record = json.dumps(stored_form(key) | {"scopes": sorted(key.scopes)}, separators=(",", ":"))
        return self._call("q1_key_add", key.id, record, key.tenant, MAX_LIVE_KEYS)

    def revoke(self, key_id: str) -> bool:
        """As the port says."""
        return bool(self._call("q1_key_revoke", key_id))

    def link_secret(self) -> bytes:
        """32 random bytes that are made once: every gateway of the queue gets the same."""
        with queue_errors():
            # Of several gateways that start at one time, the first one's stays.
            self._client.set(self._keys.link_secret, secrets.token_hex(_LINK_SECRET_BYTES), nx=True)
            text = cast("str", self._client.get(self._keys.link_secret))
        try:
            return bytes.fromhex(text)
        except (TypeError, ValueError) as error:
            raise StorageError("queue_unavailable", "the stored link secret is not one of this version") from error

    def list_keys(self) -> Sequence[ApiKey]:
        """As the port says; a key that this version can't read is left out, and logged."""
        with queue_errors():
            records = cast("dict[str, str]", self._client.hgetall(self._keys.api_keys))
        keys: list[ApiKey] = []
        for key_id, record in records.items():
            try:
                keys.append(_key(record))
            except StorageError as error:
                get_logger().warning("key_unreadable", key=key_id, detail=error.detail)
        return sorted(keys, key=lambda key: (key.created_at, key.id))

    def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", self._client.fcall(function, 1, self._keys.prefix, *arguments))


def _key(record: str) -> ApiKey:
    try:
        fields = json.loads(record)
        scopes = frozenset(Scope(scope) for scope in fields["scopes"])
        return ApiKey(**(fields | {"scopes": scopes, "limits": CallerLimits(**fields["limits"])}))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError("queue_unavailable", "a stored API key is not one of this version") from error
