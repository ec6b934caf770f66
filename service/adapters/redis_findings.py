"""What was found in photos, kept in the queue's server for all gateways; it never gets in the way of a request."""

from contextlib import suppress
from typing import cast

from service.adapters.error_mapping import queue_errors
from service.adapters.finding_texts import finding_of, text_of
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect
from service.domain.errors import StorageError
from service.domain.person import Finding

_KEPT_SECONDS = 86_400
# Whoever waits for the cache could have looked at the photo meanwhile.
_CALL_TIMEOUT_SECONDS = 0.5


class RedisFindings:
    """FindingCache; for any thread."""

    def __init__(self, url: str, keys: RedisKeys, kept_seconds: int = _KEPT_SECONDS) -> None:
        """Connects with the first call; what is put goes after so many seconds."""
        self._client, self._keys, self._kept_seconds = connect(url, _CALL_TIMEOUT_SECONDS), keys, kept_seconds

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, key: str) -> Finding | None:
        """As the port says."""
        with suppress(StorageError, ValueError), queue_errors():
            text = cast("str | None", self._client.get(self._keys.finding(key)))
            return None if text is None else finding_of(text)
        return None

    def put(self, key: str, finding: Finding) -> None:
        """As the port says."""
        with suppress(StorageError), queue_errors():
            self._client.set(self._keys.finding(key), text_of(finding), ex=self._kept_seconds)
