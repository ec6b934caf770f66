"""When an answer that is not read ends its connection; a real one would fill the system's own buffers first."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.api.app import bare_app
from service.api.http_protocol import ConnectionLimits, GuardedProtocol


class Transport(asyncio.Transport):
    """Takes everything, and tells when it is aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()
        self.num_unread, self.num_takes = 100_000, 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        """A reader takes some between two looks, for as many looks as it is told."""
        if self.num_takes:
            self.num_takes -= 1
            self.num_unread -= 1_000
        return self.num_unread

    def abort(self) -> None:
        self.aborted.set()


@pytest.fixture
async def transport() -> Transport:
    return Transport()


@pytest.fixture
async def protocol(transport: Transport) -> GuardedProtocol:
    config = uvicorn.Config(bare_app(), log_config=None)
    config.load()
    limits = ConnectionLimits(answer_seconds=0.02)
    protocol = GuardedProtocol(config, ServerState(), {}, limits=limits)
    protocol.connection_made(transport)
    return protocol


async def stays(transport: Transport) -> bool:
    """Whether it does for ten times the limit."""
    await asyncio.sleep(0.2)
    return not transport.aborted.is_set()


async def test_answer_when_it_is_not_read_then_the_connection_is_aborted(
    protocol: GuardedProtocol, transport: Transport
) -> None:
    protocol.pause_writing()

    await asyncio.wait_for(transport.aborted.wait(), 20)
    protocol.connection_lost(ConnectionAbortedError())


async def test_answer_when_it_is_read_slowly_then_the_connection_stays_until_nothing_more_is_taken(
    protocol: GuardedProtocol, transport: Transport
) -> None:
    transport.num_takes = 10
    protocol.pause_writing()

    await asyncio.wait_for(transport.aborted.wait(), 20)

    assert transport.num_takes == 0
    protocol.connection_lost(ConnectionAbortedError())


async def test_answer_when_it_is_read_on_then_the_connection_stays(
    protocol: GuardedProtocol, transport: Transport
) -> None:
    protocol.pause_writing()
    protocol.resume_writing()

    assert await stays(transport)
    protocol.pause_writing()
    # Each stop is timed by itself.
    await asyncio.wait_for(transport.aborted.wait(), 20)
    protocol.connection_lost(ConnectionAbortedError())


async def test_answer_when_the_client_has_left_then_nothing_is_timed(
    protocol: GuardedProtocol, transport: Transport
) -> None:
    protocol.pause_writing()
    protocol.connection_lost(ConnectionResetError())

    assert await stays(transport)
