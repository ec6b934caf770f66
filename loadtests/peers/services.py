"""Ours and the peers: how each is started on a device, and how one job is asked of it."""

import json
import os
import socket
import sys
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from loadtests.peers.environments import FOLDER, ROOT, make_environment, make_triton, version_in
from loadtests.peers.pipeline import (
    MAX_BATCH_VARIABLE,
    SIMULATED_VARIABLE,
    SimulatedDevice,
    decode_photo,
    draw_pose,
    encode_png,
    plan_of,
)
from loadtests.peers.processes import ServiceProcess
from loadtests.peers.triton_repository import write_repository
from loadtests.triton_request import request_of
from xmdpt.sampler import initial_noise

WAIT_SECONDS = 20
"""How long our callers have a call wait; then they follow the job behind its address."""
_PICTURE_PX = 256
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes:
        photo: a picture file.
        pose: key points and the size of their frame, as in examples/pose.json.
        steps: denoising steps.
        seed: of the noise.
    """

    photo: bytes
    pose: Mapping[str, Any]
    steps: int
    seed: int


@dataclass(frozen=True)
class Device:
    """What the graphs run on.

    Attributes:
        max_batch: the most requests of a peer's batch.
        simulated: on this one, of which nothing is there; None: on this computer's cores.
    """

    max_batch: int
    simulated: SimulatedDevice | None = None


class Service(ABC):
    """One of those that are compared.

    Attributes:
        name: on the command line.
        title: in reports.
        converts: the caller makes arrays of files and files of arrays itself, which then is a part of its time.
    """

    name: str
    title: str
    converts = False

    def prepare(self, report: Callable[[str], object]) -> None:
        """Install what is not there yet; EnvironmentMissingError if that fails."""
        make_environment(self.name, report)

    def start(self, device: Device, port: int, folder: Path) -> ServiceProcess:
        """Start it, not waiting until it is ready.

        Args:
            device: to run on.
            port: of HTTP, on this computer alone.
            folder: empty, for whatever it writes.
        """
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("XMDPT_", "REDIS_URL"))}
        variables |= {
            "PYTHONPATH": str(ROOT),
            MAX_BATCH_VARIABLE: str(device.max_batch),
            SIMULATED_VARIABLE: str(device.simulated or ""),
        }
        command = self.command(device, port, folder)
        return ServiceProcess(command, {**variables, **self.variables(device, port, folder)}, ROOT, folder / "log")

    def version(self) -> str:
        """Of the framework as it is installed; empty if it isn't."""
        return version_in(FOLDER / self.name, self.name)

    @abstractmethod
    def command(self, device: Device, port: int, folder: Path) -> list[str]:
        """What starts it."""

    def variables(self, device: Device, port: int, folder: Path) -> Mapping[str, str]:
        """Its own variables of the environment."""
        return {}

    def model_process(self, process: ServiceProcess) -> int:
        """The process that holds the model, found while pictures are made, within half a second."""
        return process.busiest(_LOOK_SECONDS)

    @abstractmethod
    def request(self, job: Job) -> httpx.Request:
        """The job, for a server at the address `http://service`."""

    def picture(self, response: httpx.Response) -> bytes:
        """The picture file of a good answer."""
        return response.content


class Ours(Service):
    """`xmdpt-serve all`, as it is by itself."""

    name, title = "ours", "xmdpt-serve"

    def prepare(self, report: Callable[[str], object]) -> None:
        pass

    def version(self) -> str:
        # The report names the commit.
        return ""

    def command(self, device: Device, port: int, folder: Path) -> list[str]:
        return [sys.executable, "-m", "service", "all"]

    def variables(self, device: Device, port: int, folder: Path) -> Mapping[str, str]:
        found = {
            "XMDPT_GATEWAY__PORT": str(port),
            "XMDPT_WORKER__OPS_PORT": str(free_port()),
            "XMDPT_DATA_DIR": str(folder / "data"),
            "XMDPT_LOG_LEVEL": "warning",
        }
        if simulated := device.simulated:
            seconds = {"STEP": simulated.step_seconds, "ROW": simulated.row_seconds, "ENCODER": 0, "DECODER": 0}
            found |= {f"XMDPT_SIMULATED__{name}_MS": f"{1000 * value:g}" for name, value in seconds.items()}
            found["XMDPT_BACKEND"] = "simulated"
        return found

    def request(self, job: Job) -> httpx.Request:
        files = {"source": job.photo, "pose": json.dumps(job.pose).encode()}
        fields = {"steps": str(job.steps), "seed": str(job.seed)}
        headers = {"Accept": "image/png", "Prefer": f"wait={WAIT_SECONDS}"}
        return httpx.Request("POST", "http://service/generate", data=fields, files=files, headers=headers)


class _JsonPeer(Service):
    """A server of ours in a peer's environment that takes a job as JSON and answers with the file."""

    def command(self, device: Device, port: int, folder: Path) -> list[str]:
        return [self.program("python"), "-m", f"loadtests.peers.{self.name}_server", str(port)]

    def request(self, job: Job) -> httpx.Request:
        return httpx.Request("POST", "http://service/generate", json=_fields(job))

    def program(self, name: str) -> str:
        """A program of the peer's environment."""
        return str(FOLDER / self.name / "bin" / name)


class LitServe(_JsonPeer):
    """Lightning's."""

    name, title = "litserve", "LitServe"


class BentoML(_JsonPeer):
    """BentoML's."""

    name, title = "bentoml", "BentoML"

    def command(self, device: Device, port: int, folder: Path) -> list[str]:
        service = "loadtests.peers.bentoml_server:PosedPerson"
        return [self.program("bentoml"), "serve", service, "--host", "127.0.0.1", "--port", str(port)]

    def variables(self, device: Device, port: int, folder: Path) -> Mapping[str, str]:
        return {"BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"}

    def request(self, job: Job) -> httpx.Request:
        return httpx.Request("POST", "http://service/generate", json={"requests": [_fields(job)]})

    def picture(self, response: httpx.Response) -> bytes:
        return b64decode(response.json()[0])


class Mosec(_JsonPeer):
    """Mosec's."""

    name, title = "mosec", "mosec"

    def command(self, device: Device, port: int, folder: Path) -> list[str]:
        words = ["--address", "127.0.0.1", "--port", str(port), "--timeout", "30000", "--path", str(folder / "ipc")]
        return [self.program("python"), "-m", "loadtests.peers.mosec_server", *words, "--log-level", "warning"]


class RayServe(_JsonPeer):
    """Ray's."""

    name, title = "ray", "Ray Serve"

    def variables(self, device: Device, port: int, folder: Path) -> Mapping[str, str]:
        # Only this computer can reach it.
        return {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(folder)}


class _Triton(Service):
    """The real server of `make triton`."""

    converts = True
    _model: str

    def prepare(self, report: Callable[[str], object]) -> None:
        make_triton(report)

    def version(self) -> str:
        found = version_in(ROOT / "build" / "triton" / "environment", "nvidia-pytriton")
        return f"of nvidia-pytriton {found}" if found else ""

    def command(self, device: Device, port: int, folder: Path) -> list[str]:
        repository = folder / "repository"
        if not repository.exists():
            write_repository(repository, device.max_batch, device.simulated)
        words = ["--repository", str(repository), "--work", str(folder / "work"), "--http-port", str(port)]
        words += ["--grpc-port", str(free_port()), "--metrics-port", str(free_port())]
        return [sys.executable, str(ROOT / "deploy" / "triton" / "server.py"), "run", *words]

    def model_process(self, process: ServiceProcess) -> int:
        # As with NVIDIA's backends. Ours has a process for each model, and this server does not restart those.
        return process.running("/tritonserver")

    def request(self, job: Job) -> httpx.Request:
        plan = plan_of(job.steps, "v")
        headers, body = request_of(
            {
                "photo": decode_photo(job.photo),
                "skeleton": draw_pose(dict(job.pose)),
                "noise": initial_noise(job.seed),
                "timesteps": plan.timesteps,
                "guidance": plan.guidance,
                "coefficients": plan.coefficients,
            }
        )
        return httpx.Request("POST", f"http://service/v2/models/{self._model}/infer", content=body, headers=headers)

    def picture(self, response: httpx.Response) -> bytes:
        head = int(response.headers["inference-header-content-length"])
        pixels = np.frombuffer(response.content[head:], np.uint8)
        return encode_png(pixels.reshape(_PICTURE_PX, _PICTURE_PX, 3))


class TritonEnsemble(_Triton):
    """All graphs in one request."""

    name, title, _model = "triton", "Triton, ensemble", "xmdpt"


class TritonLoop(_Triton):
    """A Python model that calls a graph a step."""

    name, title, _model = "triton-loop", "Triton, BLS loop", "xmdpt_loop"


SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (Ours(), LitServe(), BentoML(), TritonEnsemble(), TritonLoop(), RayServe(), Mosec())
}
"""By name, in the order in which they are run."""


def free_port() -> int:
    """A port that nobody listens on yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _fields(job: Job) -> dict[str, Any]:
    return {"photo": b64encode(job.photo).decode(), "pose": job.pose, "steps": job.steps, "seed": job.seed}
