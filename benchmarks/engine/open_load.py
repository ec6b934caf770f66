"""Requests over HTTP from one event loop: at times of their own, whatever became of those before, or one by one.

Measures no more than how long each took.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.engine.http_load import Call


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        status: of the answer; 0 if the connection broke.
        content: its JSON.
        seconds: from when the request was due to its answer.
    """

    status: int
    content: Any
    seconds: float


class Connections:
    """Connections to one port, each kept for the next request; belongs to one event loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, method: str, path: str, call: Call, due: float | None = None) -> Reply:
        """One request, on a connection that nobody else uses; `due` is a time of the loop, if it is not now."""
        clock = asyncio.get_running_loop().time
        began = clock() if due is None else due
        try:
            reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
            headers = {"Host": "127.0.0.1", "Content-Length": str(len(call.body)), **call.headers}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + call.body)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            (length,) = (int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
            content = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            return Reply(0, None, clock() - began)
        if "connection: close" in lines:
            writer.close()
        else:
            self._free.append((reader, writer))
        return Reply(int(lines[0].split()[1]), json.loads(content), clock() - began)

    async def offer(self, path: str, calls: Sequence[Call], rate: float) -> Sequence[Reply]:
        """Post so many a second; the answers in the order of the calls."""
        clock = asyncio.get_running_loop().time
        begin, tasks = clock(), list[asyncio.Task[Reply]]()
        async with asyncio.TaskGroup() as group:
            for number, call in enumerate(calls):
                due = begin + number / rate
                await asyncio.sleep(due - clock())
                tasks.append(group.create_task(self.send("POST", path, call, due)))
        return [task.result() for task in tasks]

    def close(self) -> None:
        """Close all of them."""
        for _, writer in self._free:
            writer.close()
