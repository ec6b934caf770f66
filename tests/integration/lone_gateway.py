"""One real gateway process behind which nobody works, and what it costs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from service.adapters.embedded_valkey import EmbeddedValkey
from tests.integration.processes import ROOT, free_port, wait_until

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class LoneGateway:
    """Where it is and what it writes.

    Attributes:
        temporary: folder of its temporary files.
    """

    process: subprocess.Popen[bytes]
    client: httpx.Client
    port: int
    log: Path
    temporary: Path

    @property
    def decoders(self) -> list[int]:
        """Process ids, whichever thread has started them."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

    def cpu_seconds(self) -> float:
        """Of the gateway itself, so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def forget_peak(self) -> int:
        """Begin to look for the largest memory anew: what all its processes take now, bytes."""
        for pid in self._family():
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        return self.peak_bytes()

    def peak_bytes(self) -> int:
        """The largest memory that each of its processes has had since, together."""
        return sum(_peak_bytes(pid) for pid in self._family())

    def _family(self) -> list[int]:
        return [self.process.pid, *self.decoders]


def _peak_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@contextmanager
def lone_gateway(folder: Path, **settings: str) -> Iterator[LoneGateway]:
    """Start a queue and a gateway, wait until it is ready, and kill both at the end."""
    queue = EmbeddedValkey(folder / "queue")
    queue.start()
    try:
        with gateway_of(queue.url, folder, **settings) as gateway:
            yield gateway
    finally:
        queue.stop()


@contextmanager
def gateway_of(queue_url: str, folder: Path, **settings: str) -> Iterator[LoneGateway]:
    """Start a gateway of a queue, wait until it is ready, and kill it at the end."""
    port, log, temporary = free_port(), folder / "log", folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XMDPT_")}
    environment |= {
        "REDIS_URL": queue_url,
        "XMDPT_BACKEND": "simulated",
        "XMDPT_DATA_DIR": str(folder),
        "XMDPT_GATEWAY__PORT": str(port),
        "XMDPT_LOG_FORMAT": "json",
        "TMPDIR": str(temporary),
        **settings,
    }
    with log.open("ab") as written:
        command = [sys.executable, "-m", "service", "gateway"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=written, stderr=written)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            gateway = LoneGateway(process, client, port, log, temporary)
            wait_until(lambda: _is_ready(client), 60, str(log))
            yield gateway
    finally:
        process.kill()
        process.wait()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
