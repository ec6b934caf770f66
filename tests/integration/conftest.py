"""Fixtures of the tests that run real processes."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.processes import EXAMPLES, WORKER_NAME, RunningService, running_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all tests that don't break it; it batches, which on a CPU it would not choose to.

    Its operator has named the worker.
    """
    settings = {"XMDPT_WORKER__MAX_SLOTS": "8", "XMDPT_WORKER__NAME": WORKER_NAME}
    with running_service(tmp_path_factory.mktemp("service"), **settings) as running:
        yield running


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A real photo: NASA's astronaut."""
    return (EXAMPLES / "astronaut.jpg").read_bytes()


@pytest.fixture(scope="session")
def person() -> bytes:
    """A rendered person."""
    return (EXAMPLES / "person.png").read_bytes()


@pytest.fixture(scope="session")
def pose() -> dict:
    """The bundled pose as 18 key points."""
    return json.loads((EXAMPLES / "pose.json").read_text())
