"""The header `Idempotency-Key`: its form alone. What a key means is `service.gateway.jobs`'."""

import re

from starlette.datastructures import Headers

from service.domain.errors import RequestError

_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(headers: Headers) -> str | None:
    """The client's name for this call, if it gives one.

    Raises:
        RequestError: `bad_header`.
    """
    keys = headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise RequestError("bad_header", "Idempotency-Key must be one value of 1 to 255 visible ASCII characters")
    return keys[0]
