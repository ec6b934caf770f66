"""The process that decodes picture files with Pillow: `python -m service.adapters.pillow_process MEMORY CPU_SECONDS`.

It reads files from the socket that is its standard input, and ends when that does: with the gateway, however that ends.
Whatever a file makes of it, it can take little memory and time, and open neither files nor connections.
"""

import io
import math
import signal
import socket
import sys
import time
import warnings

from PIL import Image

from service.adapters.decoder_frames import ANSWER, READY, REQUEST, read_exactly
from xmdpt.preprocess import to_photo, upright_size

if sys.platform == "linux":
    import resource


def main() -> None:
    """Decode until the input ends."""
    memory_bytes, cpu_seconds = int(sys.argv[1]), int(sys.argv[2])
    # Ctrl-C is for the gateway.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    connection = socket.socket(fileno=0)
    _load_codecs()
    _give_up_rights(memory_bytes)
    connection.sendall(READY)
    while True:
        try:
            name, width, height, num_bytes = REQUEST.unpack(read_exactly(connection, REQUEST.size))
        except EOFError:
            return
        content = read_exactly(connection, num_bytes)
        _allow_cpu(cpu_seconds)
        connection.sendall(_answer(content, name.rstrip(b"\0").decode(), (width, height)))


def _answer(content: bytes, name: str, size: tuple[int, int]) -> bytes:
    try:
        with Image.open(io.BytesIO(content), formats=[name]) as image:
            if image.size != size:
                return _refusal("the picture has another size than its header says")
            pixels, upright = to_photo(image).tobytes(), upright_size(image)
            return ANSWER.pack(True, *upright, len(pixels)) + pixels
    except MemoryError:
        return _refusal("the picture takes too much memory to decode")
    except Exception:  # What Pillow raises on damaged files is of many kinds.
        return _refusal("the picture is damaged or cut off")


def _refusal(detail: str) -> bytes:
    return ANSWER.pack(False, 0, 0, len(detail)) + detail.encode()


def _load_codecs() -> None:
    """Everything that Pillow would import when it first needs it: later no file can be opened."""
    from PIL import JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    Image.preinit()
    for name in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, name)
        if not _answer(file.getvalue(), name, (16, 16))[0]:
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


if __name__ == "__main__":
    main()
