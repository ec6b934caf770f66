"""One engine for the whole run, the images that a CPU can build, and the compose file's deployment of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.deployment.artifacts import DOCKER_COMPOSE, IMAGE, ROOT
from tests.deployment.image.docker_engine import DockerEngine, NoEngineError, running_engine, unpacked_packages
from tests.deployment.image.stand_ins import build_context, import_bases
from tests.integration.processes import free_port

# Those that serve.
TARGETS = ["gateway", "worker", "all"]
# Prometheus and Grafana are others' images, which would have to be pulled.
SERVICES = ["gateway", "worker"]
_FOLDER = ROOT / "build/image"


@dataclass(frozen=True)
class Deployment:
    """The compose file's, plainly: the profile is the one that `.env` names.

    Attributes:
        client: speaks to the gateway's published port.
    """

    engine: DockerEngine
    context: Path
    client: httpx.Client

    def compose(self, *words: str) -> str:
        files = ["--file", "docker-compose.yml", "--file", "changes.yml"]
        return self.engine.run(str(DOCKER_COMPOSE), *files, *words, cwd=self.context)

    def up(self) -> None:
        self.compose("up", "--no-build", "--wait", *SERVICES)

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in that service's container."""
        return self.compose("exec", "--no-TTY", service, *command)


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    try:
        with running_engine(unpacked_packages(_FOLDER)) as running:
            yield running
    except NoEngineError as error:
        pytest.skip(f"no Docker engine: {error}")


@pytest.fixture(scope="session")
def context(engine: DockerEngine) -> Path:
    """What the images have been built of, as `xmdpt-serve:<version>-<target>`."""
    import_bases(engine, _FOLDER)
    folder = build_context(_FOLDER)
    for target in TARGETS:
        _build(engine, folder, target)
    return folder


@pytest.fixture(scope="session")
def export_image(engine: DockerEngine, context: Path) -> str:
    """That image's name: it is built of the same folder, and larger than the others together."""
    return _build(engine, context, "export")


def _build(engine: DockerEngine, folder: Path, target: str) -> str:
    name = f"{IMAGE}-{target}"
    engine.docker("build", "--build-arg", "PIP_NO_INDEX=1", "--target", target, "--tag", name, str(folder))
    return name


@pytest.fixture(scope="session")
def deployment(engine: DockerEngine, context: Path) -> Iterator[Deployment]:
    port = free_port()
    # Few places at the worker, whatever it thinks of this computer: so jobs wait.
    changes = {
        "gateway": f'{{ports: !override ["127.0.0.1:{port}:8080"]}}',
        "worker": '{environment: {XMDPT_WORKER__MAX_SLOTS: "2"}}',
    }
    services = ", ".join(f"{name}: {change}" for name, change in changes.items())
    (context / "changes.yml").write_text(f"services: {{{services}}}\n")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
        running = Deployment(engine, context, client)
        try:
            running.up()
            yield running
        finally:
            running.compose("down", "--volumes")
