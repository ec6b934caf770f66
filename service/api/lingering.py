"""Closing a connection so that its client can still read what it was told (RFC 9112, section 9.6).

A socket that is closed while bytes of the client wait in it, or still come, resets the connection, and a reset takes
from the client the answer that it has not read yet.
"""

import asyncio
from typing import Any


class LingeringTransport:
    """A transport whose `close` waits for a client that is still sending, and for the rest is the given one.

    While it waits, nothing more is sent, and what comes is to be thrown away.

    Attributes:
        is_client_sending: whether a request has begun of which more may come.
        seconds: `close` waits so long for the client to close; then the connection ends once all is sent.
    """

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        """Of a connection on which nothing has come yet."""
        self.is_client_sending = False
        self.seconds = seconds
        self._transport = transport
        self._is_reading_paused = False
        self._is_lingering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing is read or answered any more."""
        return self._is_lingering or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send this too, unless the connection is closing: what runs on behind a refusal has nobody to tell."""
        if not self._is_lingering:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        self._is_reading_paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._is_reading_paused = False
        self._transport.resume_reading()

    def close(self) -> None:
        """Send what has been written and tell the client that it was all; end when it closes, or after some time."""
        if self.is_closing():
            return
        may_have_more = self.is_client_sending or self._is_reading_paused
        if may_have_more and self.seconds and self._transport.can_write_eof():
            self._linger()
        else:
            self._transport.close()

    def end(self) -> None:
        """Close without waiting for anybody."""
        self._transport.close()

    def _linger(self) -> None:
        self._is_lingering = True
        # Before the end is told, which fails if the client has just reset the connection.
        asyncio.get_running_loop().call_later(self.seconds, self._transport.close)
        self.resume_reading()
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()
