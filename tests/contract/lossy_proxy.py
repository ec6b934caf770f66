"""A proxy before a queue that passes every request on and can lose the answers to some of them."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

_CHUNK = 1 << 20


class LossyProxy(ThreadingTCPServer):
    """`lose(n, word)`: the next n requests that hold this word are performed, then their connections break.

    With `then`, that is called in between: whoever asked has not been answered by then.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, upstream: str) -> None:
        """Listen on a free port; upstream is the server's `unix://` address."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("unix://")
        self.url = f"redis://127.0.0.1:{self.server_address[1]}"
        self.lose(0, "")

    def lose(self, num_answers: int, word: str, then: Callable[[], object] = lambda: None) -> None:
        self.num_to_lose, self.word, self.then = num_answers, word.encode(), then


class _Handler(BaseRequestHandler):
    server: LossyProxy

    def handle(self) -> None:
        # Either side may close while the other still sends.
        with socket.socket(socket.AF_UNIX) as upstream, suppress(OSError):
            upstream.connect(self.server.upstream)
            Thread(target=self._pass_answers_on, args=(upstream,), daemon=True).start()
            for request in iter(lambda: self.request.recv(_CHUNK), b""):
                if self.server.num_to_lose and self.server.word in request:
                    self.server.num_to_lose -= 1
                    self._lose_the_answer(request)
                    self.server.then()
                    break
                upstream.sendall(request)
            upstream.shutdown(socket.SHUT_RDWR)

    def _pass_answers_on(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            for answer in iter(lambda: upstream.recv(_CHUNK), b""):
                self.request.sendall(answer)

    def _lose_the_answer(self, request: bytes) -> None:
        """Perform it on a connection of its own and wait until it has been answered there."""
        with socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(self.server.upstream)
            upstream.sendall(request)
            assert upstream.recv(_CHUNK)


@contextmanager
def lossy_proxy(upstream: str) -> Iterator[LossyProxy]:
    """Serve until the block ends."""
    with LossyProxy(upstream) as proxy:
        thread = Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()
