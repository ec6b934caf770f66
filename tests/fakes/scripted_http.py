"""A real HTTP server whose answers are scripted, byte by byte: for faults that the service can't be made to show."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class ScriptedServer:
    """What it was asked, as texts of header and body; after its script it cuts each connection."""

    url: str
    script: list[bytes]
    requests: list[str] = field(default_factory=list)

    def header(self, number: int, name: str) -> str | None:
        """A header's value in one of the requests."""
        for line in self.requests[number].split("\r\n\r\n")[0].split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    def starts(self) -> list[str]:
        """Method and path of each request."""
        return [request.split(" HTTP/")[0] for request in self.requests]


def an_answer(status: int, body: bytes = b"", content_type: str = "application/json", **headers: str) -> bytes:
    """A whole answer; header names are written with underscores."""
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def a_problem(
    status: int, code: str, *, retryable: bool = False, headers: dict | None = None, **fields: object
) -> bytes:
    """A problem as the service writes it."""
    document = {"type": f"/problems/{code}", "title": "T", "status": status, "detail": "what is wrong", "code": code}
    body = json.dumps(document | {"retryable": retryable} | fields).encode()
    return an_answer(status, body, "application/problem+json", **(headers or {}))


@contextmanager
def scripted_server(script: Sequence[bytes]) -> Iterator[ScriptedServer]:
    """Answer each connection with the next bytes of the script, and close it; empty bytes are a cut connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = ScriptedServer(f"http://127.0.0.1:{listener.getsockname()[1]}", list(script))
    thread = threading.Thread(target=_serve, args=(listener, server), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        # A closed listener would not wake the thread that accepts.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def _serve(listener: socket.socket, server: ScriptedServer) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            server.requests.append(_read_request(connection))
            connection.sendall(server.script.pop(0) if server.script else b"")


def _read_request(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode("latin-1")
