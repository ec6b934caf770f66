"""The process of a Triton server: its command, its start, its end, and what its log says of a failure.

Where its files come from is `deploy.triton.installation`'s and `deploy.triton.served_copy`'s to know.
"""

import errno
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.triton.installation import Installation
from service.adapters.parent_death import dying_with_parent

_CONFIG_NAME = "cpu"
# A vector of a photo or pose is 4 kB at most: some thousands of them.
_CACHE_BYTES = 16 * 1024 * 1024
# Said on every computer without a GPU, and said again with the model's name.
_UNINTERESTING = ("CudaDriverHelper", "Failed to create instance")
# Where in our backend a model was refused.
_TRACEBACK = r"\n\nAt:"
_MAX_REASONS = 10
_PROBE_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
_MAX_PORT = 65535
_SHARED_MEMORY = Path("/dev/shm")


class StartError(Exception):
    """The server was not started or did not get ready; one line says why, the lines below it are the server's."""


@dataclass(frozen=True)
class Listeners:
    """Where a server answers.

    Attributes:
        host: address of all of them.
        ports: by `http`, `grpc` and `metrics`.
    """

    host: str
    ports: Mapping[str, int]

    def check(self) -> None:
        """Nobody may listen there yet.

        Raises:
            StartError: somebody does, the address is not ours, or a number is no port.
        """
        if len(set(self.ports.values())) != len(self.ports):
            raise StartError(f"the ports {', '.join(map(str, self.ports.values()))} must differ")
        try:
            socket.getaddrinfo(self.host, None, socket.AF_INET)
        except (socket.gaierror, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no name of a computer"
            raise StartError(f"{self.host}: {reason}; choose another with --host") from None
        for name, port in self.ports.items():
            if not 1 <= port <= _MAX_PORT:
                raise StartError(f"{port}: no port; choose one of 1 to {_MAX_PORT} with --{name}-port")
            try:
                # Refused only where somebody listens: it sets SO_REUSEADDR.
                socket.create_server((self.host, port)).close()
            except OSError as error:
                # Without what create_server adds to its text.
                reason = os.strerror(error.errno or 0)
                if error.errno == errno.EADDRNOTAVAIL:
                    raise StartError(f"{self.host}: {reason}; choose another with --host") from None
                raise StartError(f"{self.host}:{port}: {reason}; choose another with --{name}-port") from None


class TritonServer:
    """One running server, until SIGTERM or SIGINT; a second signal kills it. For the main thread."""

    def __init__(
        self, installation: Installation, repository: Path, listeners: Listeners, log: Path, further: Sequence[str]
    ) -> None:
        """Start it.

        Args:
            installation: of `find_installation`.
            repository: each graph with its weights beside it.
            listeners: where nobody listens.
            log: file for what it says.
            further: options of tritonserver.
        """
        self._listeners, self._log = listeners, log
        self._num_signals = 0
        early: list[int] = []
        _handle_signals(lambda number, _frame: early.append(number))
        self._region_prefix = f"xmdpt-triton-{os.getpid()}-"
        # Through which the server and the models' processes pass arrays.
        regions = f"--backend-config=python,shm-region-prefix-name={self._region_prefix}"
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                dying_with_parent([*_command(installation, repository, listeners), regions, *further]),
                env=installation.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                # A terminal's interrupt is for us, who pass it on once.
                start_new_session=True,
            )
        _handle_signals(self._pass_on)
        for number in early:
            self._pass_on(number, None)

    def wait_until_ready(self, limit_seconds: float) -> str:
        """Return a line that says where it answers and with what; empty if a signal came first.

        Raises:
            StartError: it ended, or the time is over.
        """
        started = time.monotonic()
        while not self._num_signals:
            seconds = time.monotonic() - started
            try:
                self._call("/v2/health/ready")
                return self._ready_line(seconds)
            except OSError:
                status = self._process.poll()
            # In this order: a signal may have come meanwhile, and be why it has ended.
            if status is not None and not self._num_signals:
                raise self._failure(_end(status))
            if seconds > limit_seconds:
                raise self._failure(f"was not ready within {limit_seconds:g} s")
            time.sleep(_PAUSE_SECONDS)
        return ""

    def wait(self) -> None:
        """Until a signal has ended it.

        Raises:
            StartError: it ended by itself.
        """
        status = self._process.wait()
        if not self._num_signals:
            raise self._failure(_end(status))

    def clear_away(self) -> None:
        """End it at once if it is there, and free the memory that a crash leaves."""
        self._process.kill()
        self._process.wait()
        for region in _SHARED_MEMORY.glob(f"{self._region_prefix}*"):
            region.unlink(missing_ok=True)

    def _pass_on(self, _number: int, _frame: object) -> None:
        self._num_signals += 1
        self._process.send_signal(signal.SIGTERM if self._num_signals == 1 else signal.SIGKILL)

    def _ready_line(self, seconds: float) -> str:
        version = json.loads(self._call("/v2"))["version"]
        index = json.loads(self._call("/v2/repository/index", b'{"ready": true}'))
        models = ", ".join(sorted(model["name"] for model in index)) or "none"
        where = ", ".join(f"{name} {self._listeners.host}:{port}" for name, port in self._listeners.ports.items())
        return f"Triton {version} is ready after {seconds:.1f} s: {where}; models: {models}"

    def _call(self, path: str, body: bytes | None = None) -> bytes:
        # Proxies of the environment are for other addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = f"http://{self._listeners.host}:{self._listeners.ports['http']}{path}"
        with opener.open(urllib.request.Request(url, body), timeout=_PROBE_SECONDS) as response:
            return response.read()

    def _failure(self, what: str) -> StartError:
        return StartError("\n  ".join([f"the server {what}; its log: {self._log}", *_reasons(self._log)]))


def _command(installation: Installation, repository: Path, listeners: Listeners) -> Sequence[str]:
    """How the server is started; its own defaults are all addresses, and GPUs."""
    return [
        str(installation.program),
        f"--model-repository={repository}",
        f"--model-config-name={_CONFIG_NAME}",
        f"--backend-directory={installation.backends}",
        f"--cache-directory={installation.triton / 'caches'}",
        f"--cache-config=local,size={_CACHE_BYTES}",
        # Configurations are complete; to complete them, it would start every model's process twice.
        "--disable-auto-complete-config",
        "--allow-gpu-metrics=false",
        *(f"--{name}-address={listeners.host}" for name in listeners.ports),
        *(f"--{name}-port={port}" for name, port in listeners.ports.items()),
    ]


def _handle_signals(handler: Callable[[int, Any], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _end(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _reasons(log: Path) -> Sequence[str]:
    """The errors in a log: Triton's, and before it is up those of the loader and of its options."""
    return [
        line.split(_TRACEBACK)[0]
        for line in log.read_text(errors="replace").splitlines()
        if (line.startswith(("E0", "E1", "error:")) or "/tritonserver: " in line)
        and not any(words in line for words in _UNINTERESTING)
    ][-_MAX_REASONS:]
