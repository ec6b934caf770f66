"""API keys in memory: the gateway's side, with an outage to script."""

from service.domain.access import ApiKey, CallerLimits, Scope, key_text, secret_digest
from service.domain.errors import StorageError

_SECRET = "s" * 43
_LIMITS = CallerLimits()


class MemoryKeys:
    """Keys by id; `num_looks` counts what was asked."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.num_looks = 0
        self.is_down = False

    async def find(self, key_id: str) -> ApiKey | None:
        self.num_looks += 1
        if self.is_down:
            raise StorageError("queue_unavailable", "scripted outage")
        return self.keys.get(key_id)

    def add(
        self,
        key_id: str,
        tenant: str = "ada",
        scopes: frozenset[Scope] = frozenset(Scope),
        limits: CallerLimits = _LIMITS,
        expires_at: float | None = None,
    ) -> str:
        """Make a key; returns its text."""
        self.keys[key_id] = ApiKey(key_id, secret_digest(_SECRET), tenant, scopes, limits, 0.0, expires_at)
        return key_text(key_id, _SECRET)
