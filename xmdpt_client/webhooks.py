"""Checks that a webhook comes from the service and is new (Standard Webhooks). It receives nothing itself."""

import base64
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class WebhookError(ValueError):
    """A call that is not to be believed; its text says why."""


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, tolerance_seconds: float = 300.0
) -> dict[str, Any]:
    """What a webhook tells, once it is known to come from the service.

    Args:
        secret: `whsec_...`, as `xmdpt-serve webhooks secret` prints it. In the day after a rotation old and new one do.
        headers: of the call, in any case.
        body: exactly the bytes that came.
        tolerance_seconds: how old a call may be, or how far ahead its clock.

    Returns:
        `{"type": ..., "timestamp": ..., "data": <the job object>}`. The header `webhook-id` is the same each time that
        the same event is told: a receiver remembers those that it has handled.

    Raises:
        WebhookError: a header is missing, no signature fits, or the call is too old.
        ValueError: the secret can't be one.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = (fields[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookError(f"the header {error.args[0]} is missing") from None
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_"), validate=True), content, "sha256")
    expected = b"v1," + base64.b64encode(digest)
    if not any(hmac.compare_digest(expected, given.encode()) for given in signatures.split(" ")):
        raise WebhookError("no signature fits")
    if not _TIMESTAMP.fullmatch(timestamp) or abs(time.time() - int(timestamp)) > tolerance_seconds:
        raise WebhookError("the call is too old, or a clock is wrong")
    return json.loads(body)
