"""Gateways and workers of any tree as real processes over one real queue and one folder of pictures."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.parent_death import dying_with_parent
from tests.integration.processes import free_port, wait_until
from tests.upgrade.trees import ROOT

_SETTINGS = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "10",
    "XMDPT_SIMULATED__ROW_MS": "1",
    "XMDPT_SIMULATED__ENCODER_MS": "5",
    "XMDPT_SIMULATED__DECODER_MS": "5",
    "XMDPT_GATEWAY__DECODERS": "1",
    "XMDPT_LOG_FORMAT": "json",
    "XMDPT_MODEL_REPOSITORY": str(ROOT / "model_repository"),
    "XMDPT_QUEUE__LEASE_SECONDS": "1.6",
    "XMDPT_QUEUE__STALL_TIMEOUT_SECONDS": "5",
    "XMDPT_WEBHOOKS__DEVELOPMENT": "true",
    "XMDPT_WORKER__EXECUTION": "stepwise",
    "XMDPT_WORKER__MAX_BATCH": "4",
    "XMDPT_WORKER__MAX_SLOTS": "4",
    "XMDPT_WORKER__CALIBRATION_SECONDS": "0.1",
    "XMDPT_WORKER__DRAIN_SECONDS": "5",
    "OMP_NUM_THREADS": "1",
}
_START_SECONDS, _STOP_SECONDS = 60, 30


class Process:
    """One gateway or worker.

    Attributes:
        name: such as `old gateway 1`.
        url: of its probes, and of the API if it is a gateway.
    """

    def __init__(self, name: str, role: str, tree: Path, folder: Path, queue_url: str) -> None:
        """Start it, from the main thread, with which it dies."""
        port = free_port()
        self.name, self.url, self._log = name, f"http://127.0.0.1:{port}", folder / f"{name}.log"
        environment = {key: text for key, text in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
        environment |= _SETTINGS | {
            "PYTHONPATH": str(tree),
            "REDIS_URL": queue_url,
            "XMDPT_DATA_DIR": str(folder / "data"),
            "XMDPT_GATEWAY__PORT": str(port),
            "XMDPT_WORKER__OPS_PORT": str(port),
        }
        command = dying_with_parent([sys.executable, "-m", "service", role])
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=tree, env=environment, stdout=log, stderr=log)

    def wait_until_ready(self) -> None:
        """Fails with its log if that takes too long."""
        wait_until(self._is_ready, _START_SECONDS, f"{self.name} is ready: {self._log}")

    def stop(self) -> int:
        """SIGTERM; its status."""
        self._process.terminate()
        return self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def log(self) -> str:
        """What it has written."""
        return self._log.read_text()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, f"{self.name} has ended: {self.log()}"
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


class Deployment:
    """A queue and what is started on it; used as a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue = EmbeddedValkey(folder / "queue")
        self.processes: list[Process] = []

    def start(self, version: str, tree: Path, *roles: str) -> list[Process]:
        """One process for each role, all ready."""
        begun = [
            Process(f"{version} {role} {len(self.processes) + i}", role, tree, self.folder, self.queue.url)
            for i, role in enumerate(roles, 1)
        ]
        self.processes += begun
        for process in begun:
            process.wait_until_ready()
        return begun

    def __enter__(self) -> "Deployment":
        self.queue.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        self.queue.stop()
