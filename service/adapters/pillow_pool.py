"""PictureDecoder: a few processes that decode with Pillow, so that a file that breaks Pillow breaks one of them.

What a process may do is `pillow_process`'s; here is when one is started, given up and replaced.
"""

import os
import queue
import socket
import subprocess
import sys
from contextlib import suppress

from service.adapters.decoder_frames import ANSWER, READY, REQUEST, read_exactly
from service.domain.errors import OverloadedError, RequestError
from service.domain.inputs import PICTURE_BYTES
from service.ports.pictures import DecodedPicture, PictureFormat
from service.telemetry.logs import get_logger

# A process with Pillow takes 0.1 GB of addresses; a decoder up to 32 bytes a pixel, with the file and what it is turned
# into. With the default limit of pixels it is 1 GiB together.
_BASE_BYTES = 2**29
_BYTES_PER_PIXEL = 32
_CPU_SECONDS = 5
# A process that neither computes nor answers is given up.
_SILENCE_SECONDS = 30.0
# Whatever a codec leaks, it leaks for so long.
_MAX_DECODED = 200
_SECRETS = ("XMDPT_", "REDIS_URL", "AWS_")
_COMMAND = (sys.executable, "-m", "service.adapters.pillow_process")


class PillowPool:
    """PictureDecoder; a process is started when it is first needed, or by `start`."""

    def __init__(
        self,
        num_processes: int = 2,
        max_pixels: int = 16_800_000,
        cpu_seconds: int = _CPU_SECONDS,
        max_decoded: int = _MAX_DECODED,
    ) -> None:
        """Set the limits.

        Args:
            num_processes: so many pictures are decoded at a time.
            max_pixels: of a picture; from it follows the memory that a process may take.
            cpu_seconds: of processor time, for one picture.
            max_decoded: after so many pictures a process is replaced.
        """
        self.num_at_a_time = num_processes
        limits = _BASE_BYTES + _BYTES_PER_PIXEL * max_pixels, cpu_seconds
        self._processes = [_Process(*limits, max_decoded) for _ in range(num_processes)]
        # The last one that worked comes first: the others need not be there.
        self._idle = queue.LifoQueue[_Process]()
        for process in self._processes:
            self._idle.put(process)

    def start(self) -> None:
        """Start all processes, and do not wait for them; OSError if the system has none left."""
        for process in self._processes:
            process.start()

    def close(self) -> None:
        """End all processes; who decodes at the moment gets `image_invalid`."""
        for process in self._processes:
            process.stop()

    def decode(self, content: bytes, name: PictureFormat, size: tuple[int, int]) -> DecodedPicture:
        """As the port says."""
        process = self._idle.get()
        try:
            return process.decode(content, name, size)
        finally:
            self._idle.put(process)


class _Process:
    """One place of the pool; for one thread at a time."""

    def __init__(self, memory_bytes: int, cpu_seconds: int, max_decoded: int) -> None:
        self._command = [*_COMMAND, str(memory_bytes), str(cpu_seconds)]
        self._max_decoded = max_decoded
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._is_ready = False
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
        self._running, self._is_ready, self._num_decoded = (process, ours), False, 0

    def stop(self) -> int | None:
        """Its status, if it was there."""
        if self._running is None:
            return None
        process, connection = self._running
        self._running = None
        connection.close()
        process.kill()
        return process.wait()

    def decode(self, content: bytes, name: PictureFormat, size: tuple[int, int]) -> DecodedPicture:
        connection = self._ready_connection()
        try:
            connection.sendall(REQUEST.pack(name.encode(), *size, len(content)))
            connection.sendall(content)
            is_decoded, width, height, num_bytes = ANSWER.unpack(read_exactly(connection, ANSWER.size))
            if num_bytes > PICTURE_BYTES:
                raise EOFError  # That is not what it was started as.
            answer = read_exactly(connection, num_bytes)
        except (OSError, EOFError):
            self._replace("decoder_died")
            detail = "the picture can't be decoded: its decoder crashed or took too long"
            raise RequestError("image_invalid", detail) from None
        self._num_decoded += 1
        if self._num_decoded == self._max_decoded:
            self._replace()
        if not is_decoded:
            raise RequestError("image_invalid", answer.decode("ascii", "replace"))
        return DecodedPicture(answer, width, height)

    def _ready_connection(self) -> socket.socket:
        """Of a process that waits for a picture."""
        if self._running and self._running[0].poll() is not None:
            self._replace("decoder_died")
        try:
            if self._running is None:
                self.start()
            assert self._running
            connection = self._running[1]
            if not self._is_ready:
                read_exactly(connection, len(READY))
                self._is_ready = True
            return connection
        except (OSError, EOFError) as error:
            get_logger().error("decoder_did_not_start", status=self.stop(), reason=str(error))
            raise OverloadedError("overloaded", "no picture can be decoded at present; try again later") from None

    def _replace(self, event: str = "") -> None:
        """Start the next one at once: its start takes longer than a picture."""
        status = self.stop()
        if event:
            get_logger().warning(event, status=status)
        with suppress(OSError):  # The next picture tries again.
            self.start()


def _environment() -> dict[str, str]:
    """Of a process: none of the service's own variables, some of which are secrets, and no threads."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    return own | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
