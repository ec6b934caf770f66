"""Addresses that need no key: whoever holds one may read one picture's address of one job, for about an hour.

A page can show such a picture with a plain `<img>`. It knows no job: which addresses there are is the edge's business.
"""

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Callable

from service.domain.errors import AccessError

LINK_SECONDS = 3600
# Addresses that are given out within this time are the same, so that a page which reads a job again and again does not
# fetch its picture as often.
_ROUND_SECONDS = 300


class Links:
    """The addresses of one deployment; all of its gateways have the same secret."""

    def __init__(self, secret: bytes | None, now: Callable[[], float] = time.time) -> None:
        """Without a secret addresses are plain, as where no keys are needed."""
        self._secret, self._now = secret, now

    def address(self, path: str, index: int = 0) -> str:
        """The path with its query; the signature holds for 60 to 65 minutes.

        Args:
            path: absolute; it names the job.
            index: which of the job's pictures.
        """
        query = [f"index={index}"] if index else []
        if self._secret is not None:
            expires = math.ceil((self._now() + LINK_SECONDS) / _ROUND_SECONDS) * _ROUND_SECONDS
            query += [f"expires={expires}", f"signature={_signature(self._secret, path, str(index), str(expires))}"]
        return "?".join([path, "&".join(query)]) if query else path

    def check(self, path: str, index: str, expires: str, signature: str) -> None:
        """Whether an address is one that was given out; its parts are texts as they came.

        Raises:
            AccessError: `unauthenticated`: it is not, or its time is over.
        """
        right = "" if self._secret is None else _signature(self._secret, path, index, expires)
        if not right or not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")):
            raise AccessError("unauthenticated", "the signature is not one of this address: read the job for a new one")
        if int(expires) <= self._now():
            raise AccessError("unauthenticated", "the time of this address is over: read the job for a new one")


PLAIN = Links(None)
"""Where no keys are needed."""


def _signature(secret: bytes, path: str, index: str, expires: str) -> str:
    """43 characters of base64url over everything that decides what may be read until when."""
    text = f"{path}\n{index}\n{expires}".encode("utf-8", "replace")
    return base64.urlsafe_b64encode(hmac.digest(secret, text, hashlib.sha256)).rstrip(b"=").decode()
