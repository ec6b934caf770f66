"""Which servers are trusted with accepted jobs, and that calls of their functions are told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from service.adapters.queue_calls import listen_to_calls
from service.adapters.queue_functions import load_functions
from service.adapters.redis_server import check_server, connect, connect_async
from service.domain.errors import ConfigurationError, StorageError
from tests.fakes.redis_process import RedisProcess

UNSAFE = {
    "appendfsync": "everysec",
    "appendonly": "no",
    "maxmemory-policy": "allkeys-lru",
}


@contextmanager
def setting(client: redis.Redis, name: str, value: str) -> Iterator[None]:
    """Change one setting of a running server until the block ends."""
    before = client.config_get(name)[name]
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)


def test_server_when_it_keeps_what_it_accepts_then_it_is_trusted(client: redis.Redis) -> None:
    assert check_server(client) == ""


@pytest.mark.parametrize("name", UNSAFE)
def test_server_when_it_may_lose_jobs_then_it_is_refused_with_the_setting_and_the_remedy(
    client: redis.Redis, name: str
) -> None:
    with setting(client, name, UNSAFE[name]), pytest.raises(ConfigurationError) as error:
        check_server(client)

    assert not error.value.is_retryable
    assert f"{name} is {UNSAFE[name]}" in error.value.detail
    assert "XMDPT_QUEUE__ALLOW_UNSAFE_SERVER" in error.value.detail
    assert not any(other in error.value.detail for other in UNSAFE if other != name)


@pytest.mark.parametrize("name", UNSAFE)
def test_server_when_the_operator_takes_the_risk_then_it_is_named_in_a_line(client: redis.Redis, name: str) -> None:
    with setting(client, name, UNSAFE[name]):
        warning = check_server(client, allow_unsafe=True)

    assert f"{name} is {UNSAFE[name]}" in warning
    assert "\n" not in warning


def test_server_when_it_is_started_with_its_own_defaults_then_all_is_named(server_binary: str, tmp_path: Path) -> None:
    process = RedisProcess(server_binary, tmp_path, **UNSAFE)
    try:
        with connect(process.url) as client, pytest.raises(ConfigurationError) as error:
            check_server(client)
    finally:
        process.stop()

    assert all(f"{name} is {value}" in error.value.detail for name, value in UNSAFE.items())


def test_server_when_its_settings_may_not_be_read_then_it_is_not_trusted(client: redis.Redis) -> None:
    client.acl_setuser("guest", enabled=True, nopass=True, keys="*", commands=["+@all", "-config"], reset=True)
    try:
        with redis.Redis(unix_socket_path=socket_of(client), username="guest", password="x") as guest:
            with pytest.raises(ConfigurationError, match="can't be read"):
                check_server(guest)
            assert "can't be read" in check_server(guest, allow_unsafe=True)
    finally:
        client.acl_deluser("guest")


def socket_of(client: redis.Redis) -> str:
    return client.connection_pool.connection_kwargs["path"]


@pytest.mark.parametrize("ask", [check_server, load_functions])
def test_server_when_there_is_none_then_the_queue_is_unavailable(ask: Callable, tmp_path: Path) -> None:
    with connect(f"unix://{tmp_path}/none.sock") as client, pytest.raises(StorageError) as error:
        ask(client)

    assert error.value.code == "queue_unavailable"


@pytest.fixture
def told(client: redis.Redis) -> Iterator[list[tuple[str, float]]]:
    """The calls of functions that this process has made since they were loaded, and how long each took."""
    load_functions(client)
    calls: list[tuple[str, float]] = []
    listen_to_calls(lambda *call: calls.append(call))
    yield calls
    listen_to_calls(None)


async def test_call_when_it_is_listened_to_then_its_function_and_time_are_told(
    server: RedisProcess, client: redis.Redis, told: list[tuple[str, float]]
) -> None:
    async with connect_async(server.url) as asynchronous:
        client.fcall("q1_stats", 1, "{p}")
        await asynchronous.fcall("q1_figures", 1, "{p}")
        with pytest.raises(redis.ResponseError):
            client.fcall("q1_none", 1, "{p}")

    assert [function for function, _ in told] == ["stats", "figures", "none"]
    assert all(0 < seconds < 10 for _, seconds in told)
