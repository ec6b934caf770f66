"""One POST to a receiver that a client has named: no redirects, no proxy, no cookies, and no way to what is not public.

A name is resolved once, for this very connection, and the connection goes to the address that was looked at. It
decides nothing about repeating.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime

from service.domain.addresses import LOOPBACK, is_public
from service.domain.webhook import Receiver
from service.ports.webhooks import ReceiverAnswer, Resolver

_MAX_ANSWER_BYTES = 65_536
# The rest of an answer decides nothing; a receiver that is cut short might take its own work for failed.
_FAREWELL_SECONDS = 1.0
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: |\r\n)")
# With these alone a receiver says when it wants to be called again.
_BUSY = (429, 503)
# So that a host whose first address is dead is reached by its second one.
_CONNECT_SHARE = 0.4
AddressRule = Callable[[str], bool]


class _BlockedError(Exception):
    """The peer is not the one that was looked at."""


class HttpWebhookSender:
    """WebhookSender; for any number of calls at one time."""

    def __init__(
        self,
        resolver: Resolver,
        version: str,
        timeout_seconds: float = 15.0,
        may_call: AddressRule = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Opens nothing.

        Args:
            resolver: of the names.
            version: of this program, told to receivers.
            timeout_seconds: of a whole call.
            may_call: the rule for addresses; `http://`, which only development knows, leads to this computer alone.
            tls: who may have signed a receiver's certificate; whom the system trusts if None.
        """
        self._resolver = resolver
        self._agent = f"xmdpt-serve/{version}"
        self._timeout_seconds = timeout_seconds
        self._may_call = may_call
        self._tls = tls or ssl.create_default_context()

    async def send(self, receiver: Receiver, headers: Sequence[tuple[str, str]], body: bytes) -> ReceiverAnswer:
        """As the port says; within the timeout, and a second for the rest of an answer."""
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                addresses = await self._resolver.addresses(receiver.host, receiver.port)
                if addresses is None:
                    return ReceiverAnswer(detail="the name can't be looked up at present")
                # One bad address is enough: whoever answers so could give it alone the next time.
                if not all(map(self._may_call if receiver.is_tls else LOOPBACK.__contains__, addresses)):
                    return ReceiverAnswer(is_blocked=True, detail="the name has an address that is not public")
                connection = await self._connect(addresses, receiver.port)
                return await self._exchange(connection, receiver, self._request(receiver, headers, body), limit)
        except TimeoutError:
            return ReceiverAnswer(detail=f"no answer within {self._timeout_seconds:g} s")
        except _BlockedError:
            return ReceiverAnswer(is_blocked=True, detail="the connection leads to another address")
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            return ReceiverAnswer(detail=type(error).__name__)

    async def _connect(self, addresses: Sequence[str], port: int) -> socket.socket:
        """To the first of them that takes the connection."""
        fault = OSError("the name has no address")
        for address in addresses:
            connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            try:
                connection.setblocking(False)
                async with asyncio.timeout(self._timeout_seconds * _CONNECT_SHARE):
                    await asyncio.get_running_loop().sock_connect(connection, (address, port))
                if connection.getpeername()[0] != address:
                    raise _BlockedError
                return connection
            except OSError as error:  # TimeoutError is one
                connection.close()
                fault = error
            except BaseException:
                connection.close()
                raise
        raise fault

    async def _exchange(
        self, connection: socket.socket, receiver: Receiver, request: bytes, limit: asyncio.Timeout
    ) -> ReceiverAnswer:
        tls = {"ssl": self._tls, "server_hostname": receiver.host} if receiver.is_tls else {}
        reader, writer = await asyncio.open_connection(sock=connection, limit=_MAX_ANSWER_BYTES, **tls)
        try:
            writer.write(request)
            await writer.drain()
            answer = await _read_answer(reader)
            # It came in time, however little of that is left: the farewell has a time of its own.
            limit.reschedule(None)
            with suppress(OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await reader.readexactly(_MAX_ANSWER_BYTES)
            return answer
        finally:
            writer.transport.abort()

    def _request(self, receiver: Receiver, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
        lines = [f"POST {receiver.target} HTTP/1.1", f"Host: {receiver.authority}", f"User-Agent: {self._agent}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body


async def _read_answer(reader: asyncio.StreamReader) -> ReceiverAnswer:
    """The head of the answer, after those that only say that one is to come."""
    left = _MAX_ANSWER_BYTES
    while left > 0:
        head = await reader.readuntil(b"\r\n\r\n")
        left -= len(head)
        match = _STATUS.match(head)
        if not match:
            raise ValueError("no answer of HTTP")
        status = int(match[1])
        if status >= 200:
            retry_after = _retry_after(_fields(head)) if status in _BUSY else None
            return ReceiverAnswer(status, retry_after, detail=f"status {status}")
    raise ValueError("no end of what is to come")


def _fields(head: bytes) -> Mapping[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = [line.partition(":") for line in lines]
    return {name.lower(): value.strip() for name, _, value in pairs}


def _retry_after(fields: Mapping[str, str]) -> float | None:
    """In seconds or as a date (RFC 9110, section 10.2.3); None for what is neither."""
    text = fields.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):  # The latter for a year or a zone that is out of all bounds.
        return None
