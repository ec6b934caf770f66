"""A ZIP file that is sent while it is written: nothing of it but its list of names stays in memory."""

import io
import time
import zipfile

# The format begins with 1980.
_EARLIEST_SECONDS = 315_619_200.0


class ZipStream:
    """Pictures are stored as they are: they are compressed already."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._file = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    def add(self, name: str, content: bytes, modified_at: float) -> bytes:
        """What is to be sent for one more file, modified at that POSIX time."""
        moment = time.gmtime(max(modified_at, _EARLIEST_SECONDS))
        self._file.writestr(zipfile.ZipInfo(name, moment[:6]), content)
        return self._sink.take()

    def end(self) -> bytes:
        """What is to be sent after the last file."""
        self._file.close()
        return self._sink.take()


class _Sink(io.RawIOBase):
    """Holds what has been written and not been taken; it can't go back, so each file's length follows it."""

    def __init__(self) -> None:
        super().__init__()
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: bytes, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._content += content
        return len(content)

    def take(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content
