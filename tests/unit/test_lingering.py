"""What a transport is told when it is closed, in the cases that a real one shows by chance only."""

import asyncio

from service.api.lingering import LingeringTransport


class Transport(asyncio.Transport):
    """Writes down what it is told."""

    def __init__(self, *, can_write_eof: bool = True, is_reset: bool = False) -> None:
        super().__init__()
        self.told: list[object] = []
        self._can_write_eof, self._is_reset = can_write_eof, is_reset

    def can_write_eof(self) -> bool:
        return self._can_write_eof

    def write_eof(self) -> None:
        if self._is_reset:
            raise OSError("not connected")
        self.told.append("eof")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def is_closing(self) -> bool:
        return "close" in self.told or "abort" in self.told

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")


async def test_close_when_the_client_has_sent_all_then_at_once() -> None:
    lingering = LingeringTransport(transport := Transport(), 60)

    lingering.close()

    assert transport.told == ["close"]


async def test_close_when_bytes_may_wait_unread_then_they_are_read_first() -> None:
    lingering = LingeringTransport(transport := Transport(), 60)
    lingering.pause_reading()

    lingering.close()

    assert transport.told == ["pause", "resume", "eof"]
    assert lingering.is_closing()


async def test_close_when_the_end_cannot_be_told_alone_then_at_once() -> None:
    lingering = LingeringTransport(transport := Transport(can_write_eof=False), 60)
    lingering.is_client_sending = True

    lingering.close()

    assert transport.told == ["close"]


async def test_close_when_the_client_has_just_reset_the_connection_then_it_is_aborted() -> None:
    lingering = LingeringTransport(transport := Transport(is_reset=True), 60)
    lingering.is_client_sending = True

    lingering.close()

    assert transport.told == ["resume", "abort"]


async def test_transport_when_it_lingers_then_nothing_more_is_sent_and_it_ends_once() -> None:
    lingering = LingeringTransport(transport := Transport(), 0.01)
    lingering.is_client_sending = True
    lingering.write(b"answer")
    lingering.close()
    lingering.write(b"more")
    lingering.close()
    assert transport.told == [b"answer", "resume", "eof"]

    await asyncio.sleep(0.1)

    assert transport.told == [b"answer", "resume", "eof", "close"]
