"""A real receiver of webhooks: it keeps what it was told, and answers, or does not, as it was scripted."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
HANG = b"HANG"


def answer(status: int, **headers: str) -> bytes:
    """A whole answer without a body; header names are written with underscores."""
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()


@dataclass(frozen=True)
class Told:
    """One call."""

    start: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Each call is answered with the next bytes of the script, and after its end with `otherwise`."""

    script: list[bytes]
    otherwise: bytes
    port: int = 0
    told: list[Told] = field(default_factory=list)
    num_connections: int = 0
    _tasks: dict[asyncio.Task[Any] | None, asyncio.StreamWriter] = field(default_factory=dict)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        """Wait until the condition holds; fails the test when the time is over."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        self._tasks[asyncio.current_task()] = writer
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            start, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
            self.told.append(Told(start, headers, await reader.readexactly(int(headers["content-length"]))))
            reply = self.script.pop(0) if self.script else self.otherwise
            if reply.endswith(HANG):
                writer.write(reply.removesuffix(HANG))
                await reader.read()
            else:
                writer.write(reply)
                await writer.drain()
        writer.close()

    async def aclose(self) -> None:
        """Cut whatever still goes on."""
        for writer in self._tasks.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in self._tasks if task), return_exceptions=True)
        await asyncio.sleep(0)  # An aborted connection is closed by the next turn of the loop.


@asynccontextmanager
async def running_receiver(
    script: Sequence[bytes] = (), otherwise: bytes = TAKEN, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Listen at a free port of this computer."""
    receiver = Receiver(list(script), otherwise)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.aclose()
        await server.wait_closed()
