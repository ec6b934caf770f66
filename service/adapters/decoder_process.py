"""What every process that looks at picture files does: it reads files from a socket, its standard input, and answers.

Whatever a file makes of it, it can take little memory and time, and open neither files nor connections. It ends when
its input does: with the gateway, however that ends. What it makes of a file is its program's.
"""

import io
import math
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from service.adapters.decoder_frames import ANSWER, READY, REQUEST, WHOLE, read_exactly
from xmdpt.preprocess import Frame

if sys.platform == "linux":
    import resource

Look = Callable[[Image.Image, Frame | None], bytes]
"""What a program makes of an opened picture, of which no pixel has been decoded, and of the frame that is asked for."""


@dataclass(frozen=True)
class _File:
    content: bytes
    name: str
    size: tuple[int, int]
    frame: Frame | None


def serve(look: Look) -> None:
    """Answer until the input ends; the limits are the program's two arguments.

    Args:
        look: has loaded all that it needs, but for what its first run loads: that happens here, too.
    """
    memory_bytes, cpu_seconds = int(sys.argv[1]), int(sys.argv[2])
    # Ctrl-C is for the gateway.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    connection = socket.socket(fileno=0)
    _load(look)
    _give_up_rights(memory_bytes)
    connection.sendall(READY)
    while True:
        try:
            name, width, height, *frame, num_bytes = REQUEST.unpack(read_exactly(connection, REQUEST.size))
        except EOFError:
            return
        content = read_exactly(connection, num_bytes)
        _allow_cpu(cpu_seconds)
        asked = None if tuple(frame) == WHOLE else (frame[0], frame[1], frame[2], frame[3])
        file = _File(content, name.rstrip(b"\0").decode(), (width, height), asked)
        is_good, answer = _answer(look, file)
        connection.sendall(ANSWER.pack(is_good, len(answer)) + answer)


def _answer(look: Look, file: _File) -> tuple[bool, bytes]:
    try:
        with Image.open(io.BytesIO(file.content), formats=[file.name]) as image:
            if image.size != file.size:
                return False, b"the picture has another size than its header says"
            return True, look(image, file.frame)
    except MemoryError:
        return False, b"the picture takes too much memory to decode"
    except Exception:  # What Pillow raises on damaged files is of many kinds.
        return False, b"the picture is damaged or cut off"


def _load(look: Look) -> None:
    """Everything that is imported, or read, when it is first needed: later no file can be opened."""
    from PIL import JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    Image.preinit()
    for name in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, name)
        is_good, _ = _answer(look, _File(file.getvalue(), name, (16, 16), None))
        if not is_good:
            sys.exit(f"Pillow can't decode {name} here")


def _give_up_rights(memory_bytes: int) -> None:
    """What holds for the process's whole life; a file that is open already stays open."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
            resource.setrlimit(what, (0, 0))


def _allow_cpu(seconds: int) -> None:
    """So much time from now on; a picture that takes more ends the process."""
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + seconds, hard))
