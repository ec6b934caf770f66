"""Who may call and what: API keys, scopes, and the limits of a caller.

It reads no header (`service.api.callers`) and keeps no key (`service.ports.keys`).
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.job import DEFAULT_TENANT

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What the name of a tenant looks like, from start to end."""
KEY_ID = re.compile(r"[0-9a-z]{8}")
_KEY = re.compile(rf"xmdpt_({KEY_ID.pattern})_([A-Za-z0-9_-]{{43}})")
MAX_LIVE_KEYS = 2
"""Of one tenant: the present one, and the next one while it is being rolled out."""


class Scope(StrEnum):
    """What a key may be good for."""

    GENERATE = "generate"
    READ = "jobs:read"
    ADMIN = "admin"


@dataclass(frozen=True)
class CallerLimits:
    """What one key may do at one gateway.

    Attributes:
        requests_per_minute: on the long run, >= 1.
        burst: requests that may come at once, >= 1.
        max_waiting: calls that may wait for a job at one time, >= 1.
    """

    requests_per_minute: int = 100
    burst: int = 20
    max_waiting: int = 32


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key; its secret is not.

    Attributes:
        id: 8 characters, public: it names the key in lists and logs.
        digest: SHA-256 of the secret, 64 hex digits. The secret has 256 random bits, so no salt is needed.
        tenant: whose key it is.
        scopes: what it is good for.
        limits: of its holder.
        created_at: POSIX seconds.
        expires_at: likewise; None for never.
    """

    id: str
    digest: str
    tenant: str
    scopes: frozenset[Scope]
    limits: CallerLimits = field(default_factory=CallerLimits)
    created_at: float = 0.0
    expires_at: float | None = None

    def admits(self, secret: str, now: float) -> bool:
        """Whether this is its secret and its time is not over; takes the same time for every wrong secret."""
        is_right = hmac.compare_digest(self.digest, secret_digest(secret))
        return is_right and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        tenant: whose jobs are seen and made.
        scopes: what may be called.
        key_id: the key's, empty where none is needed.
        limits: None where none is needed.
    """

    tenant: str
    scopes: frozenset[Scope]
    key_id: str = ""
    limits: CallerLimits | None = None


ANYBODY = Caller(DEFAULT_TENANT, frozenset(Scope))
"""Every caller of a gateway that needs no keys."""


def key_text(key_id: str, secret: str) -> str:
    """The key as its holder sends it."""
    return f"xmdpt_{key_id}_{secret}"


def split_key(text: str) -> tuple[str, str] | None:
    """Undo `key_text`: id and secret; None if the text is no key."""
    match = _KEY.fullmatch(text)
    return (match[1], match[2]) if match else None


def secret_digest(secret: str) -> str:
    """64 hex digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
