"""A running service, and a Prometheus that scrapes it."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest
import yaml

from tests.deployment.artifacts import PROMETHEUS_DIR, SCRAPES
from tests.integration.processes import RunningService, free_port, running_service, wait_until


def _program(name: str) -> str:
    """Its absence is a skip by name, but never on CI."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is missing: make setup-system")
    if found is None:
        pytest.skip(f"{name} is not installed: make setup-system")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return _program("promtool")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for the tests of this folder."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def prometheus(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Our own configuration and rules in a real server, but for addresses and pace."""
    program, folder = _program("prometheus"), tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((PROMETHEUS_DIR / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    ports = {"xmdpt-gateway": service.port, "xmdpt-worker": service.ops_port}
    config["scrape_configs"] = [
        {"job_name": scrape["job_name"], "static_configs": [{"targets": [f"127.0.0.1:{ports[scrape['job_name']]}"]}]}
        for scrape in SCRAPES
    ]
    shutil.copy(PROMETHEUS_DIR / "xmdpt.rules.yml", folder)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address, log_path = f"127.0.0.1:{free_port()}", folder / "prometheus.log"
    command = [program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    with (
        log_path.open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://{address}", timeout=10) as client,
    ):
        try:
            wait_until(lambda: _is_ready(client), 30, f"Prometheus is ready: {log_path}")
            yield client
        finally:
            process.kill()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
