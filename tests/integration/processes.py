"""Real processes: `xmdpt-serve all` on free ports, with an embedded queue in a temporary folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx
import numpy as np
import pytest
from PIL import Image

from xmdpt.skeleton import draw_skeleton, to_frame

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
WORKER_NAME = "its-operators"
"""Of the worker of the service that tests share."""
Found = TypeVar("Found")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], Found | None], seconds: float, what: str) -> Found:
    """The first true value of the condition; fails the test when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    return pytest.fail(f"not within {seconds} s: {what}")


def children(pid: int) -> list[int]:
    """Child processes, oldest first."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


@dataclass
class RunningService:
    """One running `xmdpt-serve all`."""

    process: subprocess.Popen
    port: int
    ops_port: int
    data_dir: Path
    log_path: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def child(self, role: str) -> int:
        """Process id of the running `gateway` or `worker`."""
        found = [pid for pid in children(self.process.pid) if command_line(pid).rstrip().endswith(f"service {role}")]
        assert len(found) == 1, f"{role}: {found}"
        return found[0]

    def is_worker_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.ops_port}/readyz", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def is_gateway_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def queue_url(self) -> str:
        """Address of the embedded queue, as the worker was given it."""
        return self.variable("worker", "REDIS_URL")

    def variable(self, role: str, name: str) -> str:
        """What a child was given as this variable of its environment."""
        environment = Path(f"/proc/{self.child(role)}/environ").read_text().split("\0")
        return dict(entry.split("=", 1) for entry in environment if entry)[name]

    def metric(self, name: str, labels: str = "") -> float:
        """One sample of the worker's metrics, 0 if it is not there."""
        text = httpx.get(f"http://127.0.0.1:{self.ops_port}/metrics", timeout=60).text
        found = [line for line in text.splitlines() if line.startswith(name + labels + " ")]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    def generate(self, source: bytes, pose: bytes | dict, **fields: object) -> httpx.Response:
        """POST /generate and wait for the picture."""
        return self.client.post("/generate", headers={"Prefer": "wait=60"}, **multipart(source, pose, fields))

    def submit(self, source: bytes, pose: bytes | dict, **fields: object) -> dict:
        """POST /generate without waiting: the job."""
        response = self.client.post("/generate", headers={"Prefer": "respond-async"}, **multipart(source, pose, fields))
        assert response.status_code == httpx.codes.ACCEPTED, response.text
        return response.json()

    def job(self, job_id: str) -> dict:
        return self.client.get(f"/v1/jobs/{job_id}").json()

    def ended(self, job_id: str, seconds: float = 60) -> dict:
        """The job once it has ended."""

        def final() -> dict | None:
            job = self.job(job_id)
            return job if job["status"] in ("succeeded", "failed", "cancelled") else None

        return wait_until(final, seconds, f"{job_id} ends")  # type: ignore[return-value]


def multipart(source: bytes, pose: bytes | dict, fields: dict[str, object]) -> dict:
    """Arguments of httpx for a form with two parts and flat fields."""
    is_key_points = isinstance(pose, dict)
    pose_part = (
        ("pose.json", json.dumps(pose), "application/json") if is_key_points else ("pose.png", pose, "image/png")
    )
    return {
        "files": {"source": ("source", source, "application/octet-stream"), "pose": pose_part},
        "data": {name: str(value) for name, value in fields.items()},
    }


def pixels(content: bytes | Path) -> np.ndarray:
    """A picture file as int16 [256,256,3], so that differences don't wrap."""
    from io import BytesIO

    with Image.open(BytesIO(content) if isinstance(content, bytes) else content) as image:
        return np.asarray(image.convert("RGB")).astype(np.int16)


def skeleton_of(pose: dict) -> np.ndarray:
    """The skeleton picture that the gateway draws of key points."""
    points = [(-1.0, -1.0) if point is None else (point[0], point[1]) for point in pose["keypoints"]]
    return draw_skeleton(to_frame(points, pose["size"], (0, 0)))


def serve(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command with these words and settings, run to its end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
    return subprocess.run(
        [sys.executable, "-m", "service", *words],
        cwd=ROOT,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running_service(
    folder: Path, *, must_stop_well: bool = True, ready_seconds: float = 60, **settings: str
) -> Iterator[RunningService]:
    """Start everything, wait until it is ready, and stop it; nothing may be left behind."""
    port, ops_port = free_port(), free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
    environment |= {
        "XMDPT_GATEWAY__PORT": str(port),
        "XMDPT_WORKER__OPS_PORT": str(ops_port),
        "XMDPT_DATA_DIR": str(folder / "data"),
        "XMDPT_MODEL_REPOSITORY": str(ROOT / "model_repository"),
        "XMDPT_WORKER__CALIBRATION_SECONDS": "0.1",
        **settings,
    }
    log_path = folder / "serve.log"
    with log_path.open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "service", "all"], cwd=ROOT, env=environment, stderr=log)
        service = RunningService(process, port, ops_port, folder / "data", log_path)
        try:
            wait_until(lambda: service.is_gateway_ready() and service.is_worker_ready(), ready_seconds, str(log_path))
            yield service
        finally:
            service.client.close()
            own = children(process.pid)
            family = [process.pid, *own, *(grandchild for child in own for grandchild in children(child))]
            process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(60)
            finally:
                process.kill()
            left = [command_line(pid) for pid in family if command_line(pid)]
    if must_stop_well:
        assert status == 0, log_path.read_text()
        assert left == []
