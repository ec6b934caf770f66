"""The transport: where the service is, and the steps of a flow done one by one, with and without an event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import httpx

from xmdpt_client.batch_conversation import BatchConversation
from xmdpt_client.calls import Call, check_visible_ascii
from xmdpt_client.conversation import Conversation
from xmdpt_client.exchanges import Flow, NextLine, Step, T, Work
from xmdpt_client.streams import Lines
from xmdpt_client.strip_conversation import StripConversation


class Connection:
    """What both clients are told, checked."""

    def __init__(self, base_url: str, api_key: str | None, timeout: float, max_retries: int) -> None:
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise ValueError(f"base_url is no address: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"base_url must begin with http:// or https:// and name a host: {base_url!r}")
        if api_key is not None:
            check_visible_ascii("api_key", api_key)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # As many connections as calls: one that waited for another's would be told that nobody answers.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._base: dict[str, Any] = {"base_url": url, "headers": headers, "limits": limits}
        self._timeout = timeout
        self.max_retries = max_retries
        self.conversation = Conversation(max_retries)
        self.batch_conversation = BatchConversation(max_retries)
        self.strip_conversation = StripConversation(self.conversation, self.batch_conversation, max_retries)

    def client(self) -> httpx.Client:
        """Connections of a program without an event loop."""
        return httpx.Client(**self._base)

    def async_client(self) -> httpx.AsyncClient:
        """Connections of asyncio."""
        return httpx.AsyncClient(**self._base)

    def request(self, call: Call) -> dict[str, Any]:
        """Arguments of httpx for a call; the service may be silent for as long as it was asked to wait."""
        return {
            "method": call.method,
            "url": call.path,
            "headers": call.headers,
            "files": call.files or None,
            "data": call.fields or None,
            "content": call.content,
            "timeout": httpx.Timeout(self._timeout, read=self._timeout + call.wait_seconds),
        }


class Wire:
    """Does the steps of flows, and keeps the stream that was opened last until the next call or its own end."""

    def __init__(self, http: httpx.Client, connection: Connection) -> None:
        self._http, self._connection = http, connection
        self._stream: httpx.Response | None = None
        self._lines: Iterator[str] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, flow: Flow[T]) -> T:
        """Do a flow to its end; what it returns or raises."""
        try:
            step = next(flow)
            while True:
                try:
                    found = self._do(step)
                except Exception as fault:
                    step = flow.throw(fault)
                else:
                    step = flow.send(found)
        except StopIteration as end:
            return end.value

    def _do(self, step: Step) -> Any:
        if isinstance(step, NextLine):
            return next(self._lines, None)
        if isinstance(step, Work):
            return step.function()
        self._close()
        time.sleep(step.pause_seconds)
        request = self._http.build_request(**self._connection.request(step.call))
        response = self._http.send(request, stream=step.call.is_stream)
        if step.call.is_stream:
            self._stream, self._lines = response, self._lines_of(response)
            if not response.is_success:
                response.read()
        return response

    def _lines_of(self, response: httpx.Response) -> Iterator[str]:
        lines = Lines()
        for content in response.iter_bytes():
            yield from lines.add(content)

    def _close(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None


class AsyncWire:
    """The same for asyncio; what takes its time on this computer is done in a thread."""

    def __init__(self, http: httpx.AsyncClient, connection: Connection) -> None:
        self._http, self._connection = http, connection
        self._stream: httpx.Response | None = None
        self._lines: AsyncIterator[str] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def run(self, flow: Flow[T]) -> T:
        """See `Wire.run`."""
        try:
            step = next(flow)
            while True:
                try:
                    found = await self._do(step)
                except Exception as fault:
                    step = flow.throw(fault)
                else:
                    step = flow.send(found)
        except StopIteration as end:
            return end.value

    async def _do(self, step: Step) -> Any:
        if isinstance(step, NextLine):
            return await anext(self._lines, None) if self._lines else None
        if isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        await self._close()
        await asyncio.sleep(step.pause_seconds)
        request = self._http.build_request(**self._connection.request(step.call))
        response = await self._http.send(request, stream=step.call.is_stream)
        if step.call.is_stream:
            self._stream, self._lines = response, self._lines_of(response)
            if not response.is_success:
                await response.aread()
        return response

    async def _lines_of(self, response: httpx.Response) -> AsyncIterator[str]:
        lines = Lines()
        async for content in response.aiter_bytes():
            for line in lines.add(content):
                yield line

    async def _close(self) -> None:
        if self._stream:
            await self._stream.aclose()
            self._stream = None
