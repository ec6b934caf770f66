"""Requests over HTTP as cheap as they can be made: their bytes are written before anything is measured.

Measures nothing.
"""

import http.client
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import httpx
import numpy as np
from PIL import Image

from benchmarks.engine.traffic import picture
from benchmarks.figures import BrokenRunError
from xmdpt.spec import IMAGE_SIZE

_WAIT_SECONDS = 60


@dataclass(frozen=True)
class Call:
    """A `POST /generate` that waits, as bytes on the wire."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """Headers and content of a 200."""

    headers: http.client.HTTPMessage
    content: bytes


def files(person: int) -> tuple[bytes, bytes]:
    """A person's photo and skeleton."""
    return _file(2 * person), _file(2 * person + 1)


def _file(number: int) -> bytes:
    """A PNG of `traffic.picture`, in squares so large that its size is that of a drawing."""
    cells = np.frombuffer(picture(number)[: 3 * 16 * 16], np.uint8).reshape(16, 16, 3)
    file = io.BytesIO()
    Image.fromarray(cells).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def call(number: int, num_steps: int, person: int, file_format: str = "png") -> Call:
    """The request of a number, which is its seed, for a person in a pose of its own."""
    source, pose = files(person)
    fields = {"steps": str(num_steps), "seed": str(number), "format": file_format}
    request = httpx.Request("POST", "http://x/generate", data=fields, files={"source": source, "pose": pose})
    return Call({"Content-Type": request.headers["Content-Type"], "Prefer": f"wait={_WAIT_SECONDS}"}, request.read())


class Caller:
    """One connection, one request at a time."""

    def __init__(self, port: int) -> None:
        """Connects with the first request."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * _WAIT_SECONDS)

    def send(self, call: Call) -> Answer:
        """The answer; BrokenRunError unless it is a picture."""
        self._connection.request("POST", "/generate", call.body, call.headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != httpx.codes.OK:
            raise BrokenRunError(f"POST /generate: {response.status} {content[:300]!r}")
        return Answer(response.headers, content)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def send_all(port: int, calls: Sequence[Call], num_callers: int, on_answer: Callable[[], object]) -> None:
    """Send every request, so many at a time; `on_answer` is called after each, from any thread.

    Raises:
        BrokenRunError: one was not answered with a picture; the others are given up.
    """
    waiting: SimpleQueue[Call] = SimpleQueue()
    for each in calls:
        waiting.put(each)
    failures: list[Exception] = []

    def send_rest() -> None:
        caller = Caller(port)
        try:
            while not failures:
                caller.send(waiting.get_nowait())
                on_answer()
        except Empty:
            return
        except (BrokenRunError, OSError, http.client.HTTPException) as error:
            failures.append(error)
        finally:
            caller.close()

    threads = [threading.Thread(target=send_rest) for _ in range(num_callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise BrokenRunError(f"a request failed: {failures[0]!r}")
