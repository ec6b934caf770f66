"""A few processes that look at picture files, so that a file that breaks its decoder breaks one of them.

What a process may do is `decoder_process`'s, what it makes of a file its program's; here is when one is started, given
up and replaced.
"""

import os
import queue
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from service.adapters.decoder_frames import ANSWER, READY, REQUEST, WHOLE, read_exactly
from service.domain.errors import OverloadedError, RequestError
from service.domain.person import Frame
from service.ports.pictures import PictureFormat
from service.telemetry.logs import get_logger

# A process that neither computes nor answers is given up.
_SILENCE_SECONDS = 30.0
_NEEDED = ("PATH", "PYTHON", "LANG", "LC_", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")


@dataclass(frozen=True)
class Program:
    """What a pool's processes run, and within which limits.

    Attributes:
        module: the program, a module of Python.
        memory_bytes: of addresses that a process may take.
        cpu_seconds: of processor time, for one picture.
        max_decoded: after so many pictures a process is replaced.
        max_answer_bytes: a process that says more is not what it was started as.
    """

    module: str
    memory_bytes: int
    cpu_seconds: int
    max_decoded: int
    max_answer_bytes: int


class DecoderPool:
    """A process is started when it is first needed, or by `start`; for any thread."""

    def __init__(self, num_processes: int, program: Program, on_crash: Callable[[], object] = lambda: None) -> None:
        """So many pictures are looked at at a time.

        Args:
            num_processes: of them.
            program: that each runs.
            on_crash: called when one has died or taken too long, from the thread that waited for it.
        """
        self.num_at_a_time = num_processes
        self._processes = [_Process(program, on_crash) for _ in range(num_processes)]
        # The last one that worked comes first: the others need not be there. Of those that may not have started yet,
        # which takes longer than a picture, the one that began earliest is the next one.
        self._idle = queue.PriorityQueue[tuple[bool, int, _Process]]()
        self._numbers = count()
        for process in self._processes:
            self._put_back(process)

    def start(self) -> None:
        """Start all processes, and do not wait for them; OSError if the system has none left."""
        for process in self._processes:
            process.start()

    def close(self) -> None:
        """End all processes for good; whose picture is looked at at the moment gets `draining`."""
        for process in self._processes:
            process.close()

    def ask(
        self, content: bytes, name: PictureFormat, size: tuple[int, int], frame: Frame | tuple[float, ...] = WHOLE
    ) -> bytes:
        """What a process makes of a file.

        Raises:
            RequestError: `image_invalid`: the program says why, or it crashed or took too long.
            OverloadedError: `overloaded`: no process can be started; `draining`: the pool is closed.
        """
        *_, process = self._idle.get()
        try:
            return process.ask(content, name, size, frame)
        finally:
            self._put_back(process)

    def _put_back(self, process: "_Process") -> None:
        number = next(self._numbers)
        self._idle.put((not process.is_ready, -number if process.is_ready else number, process))


class _Process:
    """One place of the pool; for one thread at a time.

    Attributes:
        is_ready: it has decoded, or waits for its first picture; not while it starts.
    """

    def __init__(self, program: Program, on_crash: Callable[[], object]) -> None:
        self._on_crash = on_crash
        self._command = [
            # Not what lies in the current folder.
            *(sys.executable, "-P", "-m", program.module),
            *(str(program.memory_bytes), str(program.cpu_seconds)),
        ]
        self._program = program
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self.is_ready = self._is_closed = False
        self._num_decoded = 0

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(_SILENCE_SECONDS)
        with theirs:
            try:
                # In a session of its own no terminal's signal reaches it.
                process = subprocess.Popen(
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        self._running, self.is_ready, self._num_decoded = (process, ours), False, 0

    def close(self) -> None:
        self._is_closed = True
        self.stop()

    def stop(self) -> int | None:
        """Its status, if it was there."""
        if self._running is None:
            return None
        process, connection = self._running
        self._running = None
        connection.close()
        process.kill()
        return process.wait()

    def ask(
        self, content: bytes, name: PictureFormat, size: tuple[int, int], frame: Frame | tuple[float, ...]
    ) -> bytes:
        connection = self._ready_connection()
        try:
            connection.sendall(REQUEST.pack(name.encode(), *size, *frame, len(content)))
            connection.sendall(content)
            is_good, num_bytes = ANSWER.unpack(read_exactly(connection, ANSWER.size))
            if num_bytes > self._program.max_answer_bytes:
                raise EOFError  # That is not what it was started as.
            answer = read_exactly(connection, num_bytes)
        except (OSError, EOFError):
            self._refuse_if_closed()
            self._replace("decoder_died")
            detail = "the picture can't be decoded: its decoder crashed or took too long"
            raise RequestError("image_invalid", detail) from None
        self._num_decoded += 1
        if self._num_decoded == self._program.max_decoded:
            self._replace()
        if not is_good:
            raise RequestError("image_invalid", answer.decode("ascii", "replace"))
        return answer

    def _ready_connection(self) -> socket.socket:
        """Of a process that waits for a picture."""
        self._refuse_if_closed()
        if self._running and self._running[0].poll() is not None:
            self._replace("decoder_died")
        try:
            if self._running is None:
                self.start()
            assert self._running
            connection = self._running[1]
            if not self.is_ready:
                read_exactly(connection, len(READY))
                self.is_ready = True
            return connection
        except (OSError, EOFError) as error:
            get_logger().error(
                "decoder_did_not_start", program=self._program.module, status=self.stop(), reason=str(error)
            )
            raise OverloadedError("overloaded", "no picture can be decoded at present; try again later") from None

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise OverloadedError("draining", "this gateway is about to stop; send the call again")

    def _replace(self, event: str = "") -> None:
        """Start the next one at once: its start takes longer than a picture."""
        status = self.stop()
        if event:
            get_logger().warning(event, program=self._program.module, status=status)
            self._on_crash()
        with suppress(OSError):  # The next picture tries again.
            self.start()


def _environment() -> dict[str, str]:
    """Of a process: what its interpreter and libraries are found by, no secret of anybody, and no threads."""
    own = {name: value for name, value in os.environ.items() if name.startswith(_NEEDED)}
    return own | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
