"""What tests of several suites use, and the rule that on CI nothing is skipped unnoticed."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.queue_functions import load_functions
from service.adapters.redis_server import connect
from tests.run_folder import run_folder
from xmdpt.repository import load_manifest
from xmdpt.spec import VARIANTS

if TYPE_CHECKING:
    from tests.fakes.bucket_server import BucketServer
    from tests.fakes.triton_process import TritonProcess
    from xmdpt.nn.pipeline import Pipeline

# More files are tested at a time than there often are cores. OpenMP's threads wait by spinning, and took four times the
# CPU time to spin against those of another file. Torch is loaded later; other processes begin with this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before other processes of the run are started.
run_folder()

# A busy computer is no failure of what is tested.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

SHIPPED = Path(__file__).resolve().parents[1] / "model_repository"
# Files of half a minute and more begin first: one that begins last leaves the other process without work.
_LONG_FILES = (
    "export/test_precision.py",
    "docs/test_readme.py",
    "export/test_official_served.py",
    "training/test_demo_run.py",
    "benchmarks/test_engine_command.py",
    "chaos/test_chaos.py",
    "export/test_external_data.py",
    "export/test_demo_served.py",
    "export/test_flops.py",
    "export/test_shared_weights.py",
    "export/test_shipped_repository.py",
    "simulation/engine/test_batch_equality.py",
    "fuzz/test_fuzz.py",
    "benchmarks/test_command.py",
    "export/test_command.py",
    "export/test_command_official.py",
    "export/test_tensorrt.py",
    "integration/test_straight_line.py",
    "deployment/test_dist.py",
    "parity/test_golden_numbers.py",
    "upgrade/test_rolling_upgrade.py",
    "browser/test_playground.py",
    "browser/test_status_page.py",
)
# On a busy computer they need a multiple of their time; what hangs elsewhere is found sooner.
_LONG_TIMEOUT_SECONDS = 1200
# What no package can bring to a computer.
_GOOD_REASONS = ("no GPU", "no Docker engine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--samples", type=Path, help="folder of <set>/source.png and pose.png for tests/samples")
    parser.addoption("--image", action="store_true", default=None, help="run tests/deployment/image: root and minutes")
    parser.addoption("--schedules", type=int, default=25, help="random schedules that tests/simulation/engine runs")
    parser.addoption("--size", choices=("s", "b", "l"), help="size of the paper for tests/whole: minutes and gigabytes")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Suites that must be asked for aren't there without their option."""
    option = {"image": "--image", "samples": "--samples", "whole": "--size"}.get(collection_path.name)
    return (option is not None and config.getoption(option) is None) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first and with more time, the others as they were."""
    first = [Path(__file__).parent / name for name in _LONG_FILES]
    if missing := [str(path) for path in first if not path.is_file()]:
        raise pytest.UsageError(f"_LONG_FILES names what is not there: {', '.join(missing)}")
    for item in items:
        if item.path in first and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LONG_TIMEOUT_SECONDS))
    items.sort(key=lambda item: first.index(item.path) if item.path in first else len(first))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI a skip is a failure, unless it is for what no package can bring."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if not any(good in reason for good in _GOOD_REASONS):
            report.outcome, report.longrepr = "failed", f"not on CI: {reason}"
    return report


@pytest.fixture(scope="session")
def shipped_pipeline() -> "Pipeline":
    """The networks in torch that the shipped graphs were made of, whichever variant that is."""
    from export.weights import networks_of, own_weights

    variant = VARIANTS[load_manifest(SHIPPED)["variant"]]
    return networks_of(variant, own_weights(SHIPPED, variant)).bundle


@pytest.fixture(scope="session")
def running_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """One Valkey for the whole run."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey_server(running_valkey: EmbeddedValkey) -> EmbeddedValkey:
    """That Valkey, empty but for the queue's functions; its `url` is all that a test needs."""
    with connect(running_valkey.url) as client:
        client.flushall()
        load_functions(client)
    return running_valkey


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[BucketServer]":
    """One S3-compatible server for the whole run; who kills it starts it again."""
    from tests.fakes.bucket_server import CREDENTIALS, BucketServer

    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        server = BucketServer(tmp_path_factory.mktemp("bucket"))
        yield server
        server.kill()


@pytest.fixture(scope="session")
def triton_process(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[TritonProcess]":
    """One Triton for the whole run, with the shipped repository; who kills it starts it again."""
    from tests.fakes.triton_process import TritonProcess

    process = TritonProcess(tmp_path_factory.mktemp("triton"))
    yield process
    process.stop()
