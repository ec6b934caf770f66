"""Closing a connection so that its client can still read what it was told (RFC 9112, section 9.6).

A socket that is closed while bytes of the client wait in it, or still come, resets the connection, and a reset takes from
the client the answer that it has not read yet.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport:
    """A transport whose `close` waits for a client that is still sending, and for the rest is the given one.

    While it waits, nothing more is sent, and what comes is to be thrown away.
    """

    def __init__(self, transport: asyncio.Transport, is_client_sending: Callable[[], bool], seconds: float) -> None:
        """
        Args:
            transport: of the connection.
            is_client_sending: whether more of a request than has been read may come.
            seconds: to wait for the client to close.
        """
        self._transport = transport
        self._is_client_sending = is_client_sending
        self._seconds = seconds
        self._is_lingering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing is read or answered any more."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Send what has been written and tell the client that it was all; end when it closes, or after some time."""
        if self.is_closing():
            return
        if not self._is_client_sending() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._is_lingering = True
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(self._seconds, self._transport.close)
