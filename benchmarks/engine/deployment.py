"""A queue and processes of the service around it, in a temporary folder, for as long as a benchmark needs them.

Submits nothing (`benchmarks.engine.client`).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.figures import BrokenRunError
from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.parent_death import dying_with_parent
from service.adapters.queue_functions import load_functions
from service.adapters.redis_server import connect

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.02
# More than any benchmark submits at one time.
_MAX_LIVE = "100000"


class Part:
    """One process of the service."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path, port: int) -> None:
        """Start it; belongs to the main thread, whose end is the process's.

        Args:
            name: for messages.
            command: what to run.
            environment: all of it.
            log: what it writes goes there.
            port: where it answers `/readyz`.
        """
        self._name, self._log, self.port = name, log, port
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                dying_with_parent(command),
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all of its threads so far, in ticks of 10 ms."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mb(self) -> float:
        """Its memory that is in RAM, MB of a million bytes."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop it while the block lasts: what comes meanwhile waits."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def wait_until_ready(self) -> None:
        """Return once it would be given work; BrokenRunError if it ends instead, or takes too long."""
        give_up_at = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                words = self._log.read_bytes()[-1500:].decode(errors="replace").strip()
                raise BrokenRunError(f"the {self._name} did not start: {words}")
            time.sleep(_LOOK_SECONDS)

    def metric(self, name: str, labels: str = "") -> float:
        """One sample of its metrics, 0 if it is not there; labels as in `{stage="canet"}`."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10, trust_env=False).text
        found = [line for line in text.splitlines() if line.startswith(f"{name}{labels} ")]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    def stop(self) -> None:
        """Let it end what it has begun; harmless when it has ended."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End it as a crash does: it can do nothing about it."""
        self._process.kill()
        self._process.wait()

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK


class Deployment:
    """A queue, and what is started beside it.

    Attributes:
        folder: everything is below it, and goes with it.
        queue_url: address of the queue.
    """

    def __init__(self, folder: Path, queue_url: str, settings: Mapping[str, str]) -> None:
        """Use `deployed`."""
        self.folder, self.queue_url = folder, queue_url
        self._settings = dict(settings)
        self._parts: list[Part] = []

    @property
    def data(self) -> Path:
        """XMDPT_DATA_DIR."""
        return self.folder / "data"

    def start_worker(self, *command: str, **settings: str) -> Part:
        """Start a worker and wait until it is ready.

        Args:
            command: behind `python -m`; default: the service's own.
            settings: its own ones, as those of `deployed`.
        """
        port = _free_port()
        ours = {"WORKER__OPS_PORT": str(port)} | settings
        return self._start("worker", command or ("service", "worker"), ours, port)

    def start_gateway(self) -> Part:
        """Start a gateway and wait until it is ready."""
        port = _free_port()
        return self._start("gateway", ("service", "gateway"), {"GATEWAY__PORT": str(port)}, port)

    def stop(self) -> None:
        """Stop all of the above."""
        for part in self._parts:
            part.stop()

    def _start(self, name: str, command: tuple[str, ...], settings: Mapping[str, str], port: int) -> Part:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
        environment |= {f"XMDPT_{key}": value for key, value in (self._settings | dict(settings)).items()}
        environment |= {"REDIS_URL": self.queue_url, "XMDPT_DATA_DIR": str(self.data)}
        log = self.folder / f"{name}-{len(self._parts)}.log"
        part = Part(name, [sys.executable, "-m", *command], environment, log, port)
        self._parts.append(part)
        part.wait_until_ready()
        return part


@contextmanager
def deployed(settings: Mapping[str, str]) -> Iterator[Deployment]:
    """An embedded Valkey with the queue's functions; what is started beside it is stopped at the end of the block.

    Args:
        settings: of all parts, by the names of `docs/configuration.md` without `XMDPT_`.
    """
    folder = Path(tempfile.mkdtemp(prefix="xmdpt-bench-"))
    valkey = EmbeddedValkey(folder / "queue")
    limits = {"QUEUE__MAX_LIVE": _MAX_LIVE, "QUEUE__MAX_LIVE_PER_TENANT": _MAX_LIVE}
    try:
        valkey.start()
        with connect(valkey.url) as client:
            load_functions(client)
        deployment = Deployment(folder, valkey.url, limits | dict(settings))
        try:
            yield deployment
        finally:
            deployment.stop()
    finally:
        valkey.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
