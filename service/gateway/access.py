"""Who a caller is, by the key that the call carries.

It decides nothing about a route (`service.api.callers`) and counts no good requests (`service.gateway.rates`).
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

from service.domain.access import ANYBODY, ApiKey, Caller, secret_digest, split_key
from service.domain.errors import AccessError, OverloadedError
from service.gateway.links import PLAIN, Links
from service.ports.keys import KeyRing

T = TypeVar("T")

# A key that was revoked works for so long at most.
_FRESH_SECONDS = 3.0
_MAX_REMEMBERED = 10_000
_MAX_FAILURES = 10
_FAILURE_WINDOW_SECONDS = 60.0
# What an unknown id is compared with, so that it takes as long as a known one.
_NOBODYS = ApiKey("", secret_digest(""), "", frozenset())


class Access:
    """The keys of one gateway.

    Attributes:
        links: the addresses that do without a key.
    """

    def __init__(self, ring: KeyRing | None, now: Callable[[], float] = time.time, links: Links = PLAIN) -> None:
        """Without a ring everybody may do everything."""
        self._ring, self._now, self.links = ring, now, links
        self._found: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """Whether everybody may do everything."""
        return self._ring is None

    async def caller(self, authorization: str, address: str) -> Caller:
        """Say who calls.

        Args:
            authorization: the header; empty if there is none.
            address: where the call comes from.

        Raises:
            AccessError: `unauthenticated`: no key, or none that is good.
            OverloadedError: `rate_limited`: too many bad keys from this address; a good one is never stopped by them.
            StorageError: `queue_unavailable`.
        """
        if self._ring is None:
            return ANYBODY
        scheme, _, text = authorization.partition(" ")
        if not authorization or scheme.lower() != "bearer":
            raise AccessError("unauthenticated", "send an API key: `Authorization: Bearer xmdpt_...`")
        parts = split_key(text.strip())
        key = await self._find(self._ring, parts[0]) if parts else None
        is_admitted = (key or _NOBODYS).admits(parts[1] if parts else "-", self._now())
        if key is None or not is_admitted:
            self._note_failure(address)
            raise AccessError("unauthenticated", "the API key is unknown, revoked or expired", is_key_given=True)
        return Caller(key.tenant, key.scopes, key.id, key.limits)

    async def _find(self, ring: KeyRing, key_id: str) -> ApiKey | None:
        now = self._now()
        looked_at, key = self._found.get(key_id, (0.0, None))
        if not 0 <= now - looked_at < _FRESH_SECONDS:
            key = await ring.find(key_id)
            _remember(self._found, key_id, (now, key))
        return key

    def _note_failure(self, address: str) -> None:
        now = self._now()
        failures = self._failures.get(address) or deque[float](maxlen=_MAX_FAILURES)
        if len(failures) == _MAX_FAILURES and 0 <= now - failures[0] < _FAILURE_WINDOW_SECONDS:
            wait = _FAILURE_WINDOW_SECONDS - (now - failures[0])
            raise OverloadedError("rate_limited", "too many calls with bad API keys from this address", wait)
        failures.append(now)
        _remember(self._failures, address, failures)


def _remember(memory: OrderedDict[str, T], name: str, value: T) -> None:
    memory[name] = value
    memory.move_to_end(name)
    if len(memory) > _MAX_REMEMBERED:
        memory.popitem(last=False)
