"""A running service, and a Prometheus that scrapes it."""

import os
import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.deployment.traffic import SETTINGS
from tests.deployment.watching import running_prometheus
from tests.integration.processes import RunningService, running_service


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
def prometheus_program() -> str:
    return _program("prometheus")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service without networks, for the tests of this folder."""
    with running_service(tmp_path_factory.mktemp("service"), **SETTINGS) as running:
        yield running


@pytest.fixture(scope="session")
def prometheus(
    prometheus_program: str, service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """Our own configuration and rules in a real server, but for addresses and pace."""
    with running_prometheus(prometheus_program, service, tmp_path_factory.mktemp("prometheus")) as client:
        yield client
