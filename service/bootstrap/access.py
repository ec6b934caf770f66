"""Whether a gateway needs API keys, and the keys as an operator makes and revokes them."""

import ipaddress
import secrets
import time
from collections.abc import Sequence

from service.adapters.redis_api_keys import RedisKeyRegister, RedisKeyRing
from service.adapters.redis_keys import RedisKeys
from service.bootstrap.queue import open_register
from service.domain.access import MAX_LIVE_KEYS, ApiKey, CallerLimits, Scope, key_text, secret_digest
from service.domain.errors import ConfigurationError
from service.gateway.links import PLAIN, Links
from service.settings import GatewaySettings, Settings
from service.telemetry.logs import get_logger

_ID_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 8
_SECRET_BYTES = 32


def open_key_ring(settings: Settings) -> tuple[RedisKeyRing | None, Links]:
    """The keys that callers must have, None where everybody may call; and what signs addresses that need none.

    Raises:
        ConfigurationError: other computers could call, and there is no key that would stop them.
        StorageError: the queue does not answer.
    """
    host, auth = settings.gateway.host, settings.gateway.auth
    keys = RedisKeys(settings.queue.prefix)
    if auth == "off":
        if not _is_this_computer(host):
            get_logger().warning("no API keys are needed: whoever reaches this address may use it", host=host)
        return None, PLAIN
    register = RedisKeyRegister(settings.redis_url, keys)
    try:
        has_keys = bool(register.list_keys())
        links = Links(register.link_secret())
    finally:
        register.close()
    if auth == "auto" and not has_keys:
        if _is_this_computer(host):
            return None, PLAIN
        msg = (
            f"XMDPT_GATEWAY__HOST={host} lets other computers in: make a key with `xmdpt-serve keys create --tenant "
            "NAME`, or let everybody in with XMDPT_GATEWAY__AUTH=off"
        )
        raise ConfigurationError(msg)
    if not has_keys:
        get_logger().warning("nobody can call yet: make a key with `xmdpt-serve keys create --tenant NAME`")
    return RedisKeyRing(settings.redis_url, keys), links


def shows_docs(edge: GatewaySettings, *, needs_keys: bool) -> bool:
    """Whether /docs is served; by itself only to whoever develops on this computer."""
    return edge.docs == "on" or (edge.docs == "auto" and not needs_keys and _is_this_computer(edge.host))


def create_key(
    settings: Settings, tenant: str, scopes: Sequence[Scope], limits: CallerLimits, days: int | None
) -> tuple[ApiKey, str]:
    """Make a key; returns what is kept of it, and its text, which is nowhere else.

    Raises:
        ConfigurationError: the tenant has as many live keys as it may.
        StorageError: the queue does not answer.
    """
    key_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
    secret, now = secrets.token_urlsafe(_SECRET_BYTES), time.time()
    expires_at = None if days is None else now + days * 86_400
    key = ApiKey(key_id, secret_digest(secret), tenant, frozenset(scopes), limits, now, expires_at)
    with open_register(settings, RedisKeyRegister) as register:
        if register.add(key) == "full":
            msg = f"{tenant} has {MAX_LIVE_KEYS} live keys, which is the most: revoke one first"
            raise ConfigurationError(msg)
    return key, key_text(key_id, secret)


def revoke_key(settings: Settings, key_id: str) -> None:
    """Gateways stop taking it within seconds.

    Raises:
        ConfigurationError: there is no such key.
        StorageError: the queue does not answer.
    """
    with open_register(settings, RedisKeyRegister) as register:
        if not register.revoke(key_id):
            raise ConfigurationError(f"there is no key {key_id}; `xmdpt-serve keys list` shows all")


def list_keys(settings: Settings) -> Sequence[ApiKey]:
    """All of them, oldest first; StorageError if the queue does not answer."""
    with open_register(settings, RedisKeyRegister) as register:
        return register.list_keys()


def _is_this_computer(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
