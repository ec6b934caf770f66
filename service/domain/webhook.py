"""Webhooks: what may be told to whom, how a call is signed, and how long it is tried.

It opens no connection and knows no address but by its form; which ones are public is `service.domain.addresses`'.
"""

import base64
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.domain.addresses import LOOPBACK

MAX_URL_LENGTH = 2048
MAX_BODY_BYTES = 20_000
MAX_METADATA_BYTES = 16_000
"""As JSON, of a job with a webhook: the rest of the job object takes less than 4 kB."""
SECRET_BYTES = 32
RETRY_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0)
"""The pauses between the tries of one delivery; after the last of them it is given up."""
_SECRET_PREFIX = "whsec_"
_PORTS = (443, 8443)
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!-~]*)?",
    re.ASCII | re.IGNORECASE,
)
# The parsers of addresses take such a host for one: 0x7f.1, 2130706433, 127.1.
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?", re.ASCII | re.IGNORECASE)


class WebhookEvent(StrEnum):
    """What may be told."""

    JOB_STARTED = "job.started"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    BATCH_COMPLETED = "batch.completed"


DEFAULT_EVENTS = (WebhookEvent.JOB_SUCCEEDED, WebhookEvent.JOB_FAILED, WebhookEvent.JOB_CANCELLED)


@dataclass(frozen=True)
class Receiver:
    """An address to call, taken apart.

    Attributes:
        is_tls: https; else http.
        host: a name in lower case, or an IP address without brackets.
        port: 1 .. 65,535.
        target: path and query, as they are sent; begins with a slash.
    """

    is_tls: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port, as the header `Host` has them; also the name under which the receiver has its turns."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True)
class Webhook:
    """Who is to be told of a job.

    Attributes:
        url: that `parse_receiver` takes.
        events: what is told, at least one; `WebhookEvent`s, or those of a newer version.
    """

    url: str
    events: Sequence[str] = DEFAULT_EVENTS


def parse_receiver(url: str, *, is_development: bool = False) -> Receiver:
    """Take an address apart.

    Args:
        url: the client's text.
        is_development: `http://` to 127.0.0.1 and [::1] is taken too, at any port.

    Raises:
        ValueError: it is not one that may be called; says which rule it breaks.
    """
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"may have {MAX_URL_LENGTH} characters")
    match = _URL.fullmatch(url)
    if not match:
        raise ValueError(
            "must be https://host, with a port, a path and a query if need be, in ASCII (a name beyond that in "
            "Punycode), without user, password and fragment"
        )
    scheme, host = match["scheme"].lower(), match["host"].lower()
    _check_host(host)
    host = host.strip("[]")
    if "#" in (match["path"] or ""):
        raise ValueError("must have no fragment")
    target = match["path"] or "/"
    target = target if target.startswith("/") else f"/{target}"
    if is_development and scheme == "http" and host in LOOPBACK:
        port = int(match["port"] or 80)
        if not 0 < port <= 65_535:
            raise ValueError("must have a port from 1 to 65535")
        return Receiver(False, host, port, target)
    if scheme != "https":
        raise ValueError("must begin with https://")
    port = int(match["port"] or 443)
    if port not in _PORTS:
        raise ValueError("may have the ports 443 and 8443")
    return Receiver(True, host, port, target)


def _check_host(host: str) -> None:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise ValueError("must have an IPv6 address between the brackets") from None
    elif _NUMERIC.fullmatch(host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("must have an IPv4 address of four decimal numbers, or a name") from None


def secret_text(secret: bytes) -> str:
    """A secret of 24 .. 64 bytes as it is shown and kept."""
    return _SECRET_PREFIX + base64.b64encode(secret).decode()


def signature(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each secret.

    Args:
        secrets: made by `secret_text`.
        message_id: the header `webhook-id`.
        timestamp: the header `webhook-timestamp`, POSIX seconds.
        body: the bytes that are sent.

    Source:
        Standard Webhooks, version 1.0.0, symmetric signatures.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix(_SECRET_PREFIX)) for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, content, 'sha256')).decode()}" for key in keys)
