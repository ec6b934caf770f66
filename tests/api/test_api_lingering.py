"""Clients that are refused while they are still sending: what they are told reaches them, and nobody waits for ever."""

import socket
import time
from collections.abc import Iterator

import pytest

from service.api.http_protocol import ConnectionLimits
from tests.api.test_api_connection import to_the_end
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import running_gateway

HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000
BODY = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
LONG = ConnectionLimits(linger_seconds=200)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with running_gateway(FakeIntake(), MemoryBlobs(), connections=LONG) as gateway:
        yield gateway.address


@pytest.mark.parametrize(("begin", "status"), [(HEAD, 431), (BODY, 413)], ids=["a head", "a body"])
def test_client_when_it_goes_on_sending_what_was_refused_then_it_can_still_read_why(
    address: tuple[str, int], begin: bytes, status: int
) -> None:
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(begin)
        assert connection.recv(1, socket.MSG_PEEK), "the answer lies here, unread"
        for _ in range(20):
            connection.sendall(bytes(100_000))

        text = to_the_end(connection)

    assert text.startswith(b"HTTP/1.1 %d " % status)


def test_client_when_it_never_stops_sending_then_it_is_cut_off_in_time() -> None:
    limits = ConnectionLimits(linger_seconds=0.5)
    with (
        running_gateway(FakeIntake(), MemoryBlobs(), connections=limits) as gateway,
        socket.create_connection(gateway.address, timeout=60) as connection,
    ):
        connection.sendall(BODY)
        to_the_end(connection)
        refused_at = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012 - it may come with any of them
            while True:
                connection.sendall(b" ")
                time.sleep(0.01)

    assert time.monotonic() - refused_at >= 0.4


@pytest.mark.parametrize("begin", [HEAD, HEAD[:1000]], ids=["refused", "not whole"])
def test_gateway_when_it_stops_then_it_waits_for_no_client_that_is_still_sending(begin: bytes) -> None:
    with running_gateway(FakeIntake(), MemoryBlobs(), connections=LONG) as gateway:
        connection = socket.create_connection(gateway.address, timeout=60)
        connection.sendall(begin)
        if begin == HEAD:
            to_the_end(connection)
        else:
            # Another's answer: by then the gateway has read what came before.
            assert gateway.client.get("/livez").is_success
        gateway.server.should_exit = True

        with connection, pytest.raises(ConnectionError):  # noqa: PT012 - it may come with any of them
            while True:
                connection.sendall(b"a")
                time.sleep(0.01)
