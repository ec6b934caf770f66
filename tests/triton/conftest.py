"""The servers of this suite: one with what we ship, one with models made for tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.triton.lab_repository import SHIPPED
from tests.triton.running_triton import RunningTriton, running_triton


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    """Everything that is in the project's repository."""
    with running_triton(tmp_path_factory.mktemp("triton"), "--repository", str(SHIPPED)) as running:
        yield running


@pytest.fixture(scope="session")
def lab_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository to put models into."""
    return tmp_path_factory.mktemp("lab_models")


@pytest.fixture(scope="session")
def lab(lab_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    """It loads what it is told to, and nothing at its start."""
    work = tmp_path_factory.mktemp("lab")
    with running_triton(work, "--repository", str(lab_root), model_control_mode="explicit") as running:
        yield running
