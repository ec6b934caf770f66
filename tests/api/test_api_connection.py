"""Connections that send too much, too slowly, or nonsense: refused in problem form, and closed."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from service.api.http_protocol import ConnectionLimits
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import running_gateway

PATIENT = ConnectionLimits(head_seconds=20, max_connections=20, answer_seconds=0.5)
# A test that waits for the end of a time needs what it sends before to come within it.
HURRIED = ConnectionLimits(head_seconds=2, body_seconds=0.3, min_rate=1000)
GOOD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with running_gateway(FakeIntake(), MemoryBlobs(), connections=PATIENT) as gateway:
        yield gateway.address


@pytest.fixture(scope="module")
def hurried() -> Iterator[tuple[str, int]]:
    """A gateway that gives a client little time."""
    with running_gateway(FakeIntake(), MemoryBlobs(), connections=HURRIED) as gateway:
        yield gateway.address


def to_the_end(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def answer(address: tuple[str, int], *pieces: bytes) -> tuple[int, dict[str, str], str]:
    """Status, headers and problem code after these bytes; status 0 if the connection was closed without an answer."""
    with socket.create_connection(address, timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        text = to_the_end(connection)
    if not text:
        return 0, {}, ""
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split(" ")[1]), headers, json.loads(body)["code"]


def is_served(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(GOOD + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (GOOD + b"X-Long: " + b"a" * 32_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (GOOD + b"X-Endless: " + b"a" * 40_000, 431, "headers_too_large"),
        (GOOD + b"".join(b"X-%d: 1\r\n" % number for number in range(64)) + b"\r\n", 431, "headers_too_large"),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (GOOD + b"Host: y\r\n\r\n", 400, "malformed_request"),
        (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "malformed_request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "malformed_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_request"),
        (b"NONSENSE\r\n\r\n", 400, "malformed_request"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_request"),
    ],
    ids=[
        "long URL", "long header", "endless header", "many headers", "no host", "two hosts", "length and chunks",
        "two lengths", "bad chunk", "TLS", "nonsense", "bytes in the path",
    ],
)  # fmt: skip
def test_request_when_its_head_is_unusable_then_a_problem_says_why_and_the_connection_is_closed(
    address: tuple[str, int], request_bytes: bytes, status: int, code: str
) -> None:
    found = answer(address, request_bytes)

    assert (found[0], found[2]) == (status, code)
    assert found[1]["connection"] == "close"
    assert found[1]["content-type"] == "application/problem+json"


def test_request_when_its_head_is_as_large_as_it_may_be_then_it_is_served(address: tuple[str, int]) -> None:
    url = b"/livez?" + b"a" * 7900
    head = b"GET " + url + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"X-Long: " + b"a" * 20_000 + b"\r\n\r\n"
    with socket.create_connection(address, timeout=20) as connection:
        for start in range(0, len(head), 1000):
            connection.sendall(head[start : start + 1000])

        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "begin",
    [
        GOOD,
        b"G",
        POST + b"Content-Length: 1000000\r\n\r\n" + bytes(10),
        POST + b"Content-Length: 1000000\r\n\r\n" + bytes(999_999),
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["half a head", "a letter", "a slow body", "all but its last byte", "no chunk"],
)
def test_request_when_it_comes_too_slowly_then_408(hurried: tuple[str, int], begin: bytes) -> None:
    status, headers, code = answer(hurried, begin)

    assert (status, code, headers["connection"]) == (408, "request_timeout", "close")


def test_connection_when_nothing_is_sent_then_it_is_closed(hurried: tuple[str, int]) -> None:
    assert answer(hurried)[0] == 0


def test_connection_when_a_client_drips_headers_then_the_time_for_the_head_is_not_extended(
    hurried: tuple[str, int],
) -> None:
    # Slowly: of too many headers there would be another word.
    with socket.create_connection(hurried, timeout=0.2) as connection:
        connection.sendall(GOOD)
        for number in range(60):
            connection.sendall(b"X-%d: 1\r\n" % number)
            with suppress(TimeoutError):
                assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
                return
    pytest.fail("it may go on for ever")


def test_body_when_it_is_long_in_time_but_fast_enough_then_it_is_read(hurried: tuple[str, int]) -> None:
    body = b'{"source": 1}' + b" " * 200_000
    with socket.create_connection(hurried, timeout=20) as connection:
        connection.sendall(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 20_000):
            connection.sendall(body[start : start + 20_000])
            time.sleep(0.15)

        assert connection.recv(65536).startswith(b"HTTP/1.1 422 ")


def test_connection_when_it_is_kept_alive_then_its_next_request_has_its_own_time(hurried: tuple[str, int]) -> None:
    with socket.create_connection(hurried, timeout=20) as connection:
        for pause in (0, 2.2, 2.2):  # longer than a head may take
            time.sleep(pause)
            connection.sendall(GOOD + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_connection_when_only_line_ends_follow_a_request_then_it_is_closed_in_time(hurried: tuple[str, int]) -> None:
    with socket.create_connection(hurried, timeout=20) as connection:
        connection.sendall(GOOD + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"\r\n")

        assert connection.recv(65536) == b""


@pytest.mark.parametrize(
    "end", [b"NONSENSE\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], ids=["no request", "no chunk"]
)
def test_requests_when_one_is_unusable_behind_others_then_no_answer_is_taken_for_anothers_and_nothing_is_logged(
    address: tuple[str, int], end: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(2 * (GOOD + b"\r\n") + end)
        text = to_the_end(connection)

    assert text.count(b"HTTP/1.1 ") == text.count(b"HTTP/1.1 200 ")
    is_served(address)
    assert capfd.readouterr() == ("", "")


def test_connections_when_there_are_too_many_then_the_next_is_told_to_come_later(address: tuple[str, int]) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection(address, timeout=20))
            connection.sendall(GOOD + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")

        status, headers, code = answer(address, GOOD + b"\r\n")

        assert (status, code) == (503, "overloaded")
        assert int(headers["retry-after"]) >= 1


def test_answers_when_nobody_reads_them_then_the_connection_is_closed_and_nothing_is_logged(
    address: tuple[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(address, timeout=20) as connection:
        connection.setblocking(False)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        with pytest.raises(ConnectionError):  # noqa: PT012 - it may come with any of them
            while True:
                with suppress(BlockingIOError):
                    connection.send(ask)
                time.sleep(0.001)

    is_served(address)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "begin",
    [GOOD, POST + b"Content-Length: 1000\r\n\r\n{", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", GOOD + b"\r\n"],
    ids=["in the head", "in the body", "in a chunk", "before the answer"],
)
def test_client_when_it_hangs_up_at_any_point_then_nothing_is_logged_and_others_are_served(
    address: tuple[str, int], begin: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for has_reset in (False, True):
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(begin)
            if has_reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    is_served(address)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("host", "status", "code"),
    [
        (b"api.example.org", 404, "not_found"),
        (b"API.example.org:8080", 404, "not_found"),
        (b"[::1]:80", 404, "not_found"),
        (b"evil.example", 400, "bad_header"),
        (b"api.example.org.evil.example", 400, "bad_header"),
        (b"", 400, "bad_header"),
        (b"api.example.org/../x", 400, "malformed_request"),
    ],
)
def test_host_when_names_are_set_then_only_they_are_served(host: bytes, status: int, code: str) -> None:
    limits = ConnectionLimits(hosts=frozenset({"api.example.org", "[::1]"}))
    with running_gateway(FakeIntake(), MemoryBlobs(), connections=limits) as gateway:
        request = b"GET /nothing HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"

        found = answer(gateway.address, request)

    assert (found[0], found[2]) == (status, code)
