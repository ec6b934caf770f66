"""Which functions a queue's server has: the newest of all versions that run, whoever starts, flushes or may load."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from service.adapters.queue_functions import RedisQueueFunctions, functions_source, load_functions, version_of
from service.adapters.redis_server import connect
from service.domain.errors import ConfigurationError, StorageError
from tests.fakes.redis_process import RedisProcess

VERSION = version_of(functions_source())
# Of each version's text. Does it fail? You have changed the functions. Look whether processes of the version before can
# still call them and read their records, as `version.lua` says; then raise the number there, and put it here.
DIGESTS = {
    1: "c4852a74c2da54f96ff682869bba8dfc87b2c60d898658e4f9c34e19ea3f4b4c",
    2: "a75084a330396d60f7bf37863e4030e4f74c310a67343905324d44f064331a08",
    3: "d364a6a44a0fd1a45dda287e8abedebf9ac6f5791bbd774c927d6032095ad004",
    4: "8cd93bfa89d3c3b74fdc23b319f06cdc02ee986b98d76bc8dd8f552175daf765",
}


def source_of(version: int) -> str:
    """The library as another version might have it."""
    return functions_source().replace(f"local VERSION = {VERSION}", f"local VERSION = {version}")


UNVERSIONED = "#!lua name=xmdpt_q1\nredis.register_function('q1_stats', function() return 1 end)"
OLDER, NEWER = source_of(VERSION - 1), source_of(VERSION + 1)


@pytest.fixture(autouse=True)
def ours_again(client: redis.Redis) -> Iterator[None]:
    """No functions before a test, and this version's for the tests after it."""
    client.function_flush()
    yield
    client.function_flush()
    client.function_load(functions_source())


def version_in(client: redis.Redis) -> int:
    return int(client.fcall("q1_version", 0))  # pyright: ignore[reportArgumentType]


def names_in(client: redis.Redis) -> set[str]:
    return {function[1] for function in client.function_list("xmdpt_q1")[0][5]}  # pyright: ignore


def test_functions_when_their_text_changes_then_their_version_has_been_raised() -> None:
    assert DIGESTS.get(VERSION) == hashlib.sha256(functions_source().encode()).hexdigest()
    assert max(DIGESTS) == VERSION


def test_functions_when_there_are_none_then_all_are_loaded(client: redis.Redis) -> None:
    assert load_functions(client) == VERSION

    verbs = {"enqueue", "claim", "heartbeat", "finish", "release", "cancel", "reap", "read", "stats", "weight_set"}
    others = {
        "audit",
        "vectors_look_up",
        "vector_put",
        "vector_abandon",
        "vector_wish",
        "vector_wish_take",
        "worker_announce",
        "worker_withdraw",
        "workers",
        "key_add",
        "key_revoke",
        "history",
        "latencies",
        "room",
        "list",
        "erase",
        *(f"batch_{verb}" for verb in ("open", "read", "cancel", "results", "feed", "skip", "set_aside")),
        *(f"picture_{verb}" for verb in ("add", "use", "delete")),
        "figures",
        "hook_plan",
        "hook_claim",
        "hook_done",
        "hook_secrets",
        "hook_rotate",
        "version",
        "bury",
    }
    assert names_in(client) == {f"q1_{name}" for name in verbs | others}


@pytest.mark.parametrize("before", [UNVERSIONED, OLDER], ids=["unversioned", "older"])
def test_functions_when_they_are_older_then_they_are_replaced(client: redis.Redis, before: str) -> None:
    client.function_load(before)

    assert load_functions(client) == VERSION
    assert version_in(client) == VERSION
    assert "q1_enqueue" in names_in(client)


@pytest.mark.parametrize("version", [VERSION, VERSION + 1])
def test_functions_when_they_are_ours_or_newer_then_they_stay(client: redis.Redis, version: int) -> None:
    client.function_load(f"{source_of(version)}\n-- untouched")

    assert load_functions(client) == version
    assert client.function_list("xmdpt_q1", withcode=True)[0][-1].endswith("-- untouched")  # pyright: ignore


def test_functions_when_they_are_to_be_rolled_back_then_newer_ones_are_replaced(client: redis.Redis) -> None:
    client.function_load(NEWER)

    assert load_functions(client, replaces_newer=True) == VERSION
    assert version_in(client) == VERSION


def test_functions_when_many_versions_start_at_once_on_an_empty_server_then_the_newest_are_there(
    server: RedisProcess, client: redis.Redis
) -> None:
    for _ in range(5):
        client.function_flush()
        line = threading.Barrier(8)

        def start(version: int, line: threading.Barrier = line) -> None:
            with connect(server.url) as own:
                line.wait()
                load_functions(own, source_of(version))

        with ThreadPoolExecutor(8) as starters:
            list(starters.map(start, [1, 2] * 4))

        assert version_in(client) == 2


@pytest.mark.parametrize("after", ["", UNVERSIONED, OLDER], ids=["flushed", "unversioned", "older"])
def test_functions_when_somebody_takes_them_away_then_a_running_process_puts_them_back(
    server: RedisProcess, client: redis.Redis, after: str
) -> None:
    running = RedisQueueFunctions(server.url)
    running.ensure()

    client.function_flush()
    if after:
        client.function_load(after)
    running.ensure()
    running.close()

    assert version_in(client) == VERSION


@pytest.fixture
def guest(server: RedisProcess, client: redis.Redis) -> Iterator[str]:
    """Address for a user who may call functions, and load none."""
    client.acl_setuser("guest", enabled=True, passwords="+word", keys="*", commands=["+@all", "-function"], reset=True)
    yield server.url.replace("unix://", "unix://guest:word@")
    client.acl_deluser("guest")


@pytest.mark.parametrize("before", ["", UNVERSIONED, OLDER], ids=["none", "unversioned", "older"])
def test_functions_when_this_user_may_not_load_them_then_it_is_said_what_to_do(
    client: redis.Redis, guest: str, before: str
) -> None:
    if before:
        client.function_load(before)
    functions = RedisQueueFunctions(guest)
    with connect(guest) as own, pytest.raises(ConfigurationError) as at_the_start:
        load_functions(own)
    with pytest.raises(StorageError) as later:
        functions.ensure()

    for error in (at_the_start.value, later.value):
        assert f"version {VERSION}" in error.detail
        assert "xmdpt-serve functions" in error.detail
    assert later.value.code == "queue_unavailable"

    load_functions(client)
    functions.ensure()
    functions.close()


def test_functions_when_this_user_may_not_load_and_need_not_then_all_is_well(client: redis.Redis, guest: str) -> None:
    client.function_load(NEWER)

    with connect(guest) as own:
        assert load_functions(own) == VERSION + 1


def test_functions_when_the_server_refuses_the_text_then_it_says_what_is_needed(client: redis.Redis) -> None:
    with pytest.raises(ConfigurationError, match="Redis >= 7"):
        load_functions(client, f"{source_of(VERSION + 1)}\nthis is no Lua")

    assert load_functions(client) == VERSION, "the server goes on"


@pytest.mark.parametrize("before", ["", OLDER], ids=["none", "older"])
def test_functions_when_another_library_has_one_of_their_names_then_it_is_said(
    server: RedisProcess, client: redis.Redis, before: str
) -> None:
    taken = "q1_of_a_later_version"
    client.function_load(f"#!lua name=guest\nredis.register_function('{taken}', function() return 1 end)")
    if before:
        client.function_load(before)
    ours = f"{source_of(VERSION + 1)}\nredis.register_function('{taken}', function() return 2 end)"

    with pytest.raises(ConfigurationError, match="another library"):
        load_functions(client, ours)

    assert client.fcall(taken, 0) == 1


def test_functions_when_the_server_has_no_room_for_them_then_it_is_not_to_be_replaced(
    server: RedisProcess, client: redis.Redis
) -> None:
    functions = RedisQueueFunctions(server.url)
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StorageError, match="maxmemory"):
            load_functions(client)
        with pytest.raises(StorageError):
            functions.ensure()
    finally:
        client.config_set("maxmemory", "0")
    functions.ensure()
    functions.close()

    assert version_in(client) == VERSION


def test_functions_when_there_is_no_server_then_addresses_are_told_to_the_operator_alone(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/none.sock"
    with connect(url) as client, pytest.raises(StorageError, match=r"none\.sock"):
        load_functions(client)

    with pytest.raises(StorageError) as error:
        RedisQueueFunctions(url).ensure()

    assert "none.sock" not in error.value.detail
