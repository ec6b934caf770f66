"""Vectors come back bit by bit, one worker makes what nobody has, the oldest give way, and no outage is noticed."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import redis

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect, load_functions
from service.adapters.redis_vectors import RedisVectorCache
from service.ports.backend import F32
from tests.fakes.queue_lab import QueueLab
from tests.fakes.redis_process import RedisProcess

VECTOR_SIZE = 7
KEY = "source:" + "ab" * 32
LONG_SECONDS = 60.0

OpenCache = Callable[..., RedisVectorCache]


def a_cache(url: str, **changes: float) -> RedisVectorCache:
    settings = {"vector_size": VECTOR_SIZE, "max_entries": 10, "lock_seconds": LONG_SECONDS} | changes
    return RedisVectorCache(url, RedisKeys(), **settings)


def a_vector(number: float = 1.0) -> F32:
    return np.full(VECTOR_SIZE, number, np.float32)


def kept(cache: RedisVectorCache, *keys: str) -> list[bool]:
    """Whether each key's vector is there; who asks is told to make the others."""
    return [isinstance(found, np.ndarray) for found in cache.look_up(keys)]


@pytest.fixture
def open_cache(lab: QueueLab, server: RedisProcess) -> Iterator[OpenCache]:
    """Opens one worker's cache on an empty server; locks run by the server's clock, the order of use by the lab's."""
    opened: list[RedisVectorCache] = []

    def open_one(**changes: float) -> RedisVectorCache:
        opened.append(a_cache(server.url, **changes))
        return opened[-1]

    yield open_one
    for cache in opened:
        cache.close()


def test_vector_when_put_then_every_worker_finds_its_very_bits(open_cache: OpenCache) -> None:
    vector = np.array([-0.0, 1e-45, -1.1754942e-38, 3.4028235e38, np.inf, np.nan, 0.1], np.float32)
    open_cache().put(KEY, vector)

    (found,) = open_cache().look_up([KEY])

    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape, found.tobytes()) == (np.float32, (VECTOR_SIZE,), vector.tobytes())


def test_vectors_when_some_are_there_then_each_key_has_its_own_answer(open_cache: OpenCache) -> None:
    cache, other = open_cache(), open_cache()
    cache.put("pose:1", a_vector(1))
    assert other.look_up(["pose:2"]) == ["yours"]

    first, second, third = cache.look_up(["pose:1", "pose:2", "pose:3"])

    np.testing.assert_array_equal(first, a_vector(1))
    assert (second, third) == ("theirs", "yours")
    assert cache.look_up([]) == []


def test_vector_when_sixteen_workers_ask_at_once_then_one_makes_it(open_cache: OpenCache) -> None:
    together = Barrier(16)

    def ask(cache: RedisVectorCache) -> str:
        together.wait()
        (answer,) = cache.look_up([KEY])
        assert isinstance(answer, str)
        return answer

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, [open_cache() for _ in range(16)]))

    assert sorted(answers) == ["theirs"] * 15 + ["yours"]


def test_vector_when_its_maker_asks_again_then_it_is_still_the_maker(open_cache: OpenCache) -> None:
    maker, other = open_cache(), open_cache()

    assert [cache.look_up([KEY])[0] for cache in (maker, other, maker)] == ["yours", "theirs", "yours"]


def test_vector_when_its_maker_is_silent_then_another_one_is_told(open_cache: OpenCache) -> None:
    assert open_cache(lock_seconds=0.05).look_up([KEY]) == ["yours"]
    other = open_cache()

    give_up_at = time.monotonic() + 20
    while other.look_up([KEY]) != ["yours"]:
        assert time.monotonic() < give_up_at, "the lock never ran out"


def test_vector_when_abandoned_then_only_its_maker_gives_it_up(open_cache: OpenCache) -> None:
    maker, other = open_cache(), open_cache()
    maker.look_up([KEY])

    other.abandon(KEY)
    assert other.look_up([KEY]) == ["theirs"]
    maker.abandon(KEY)
    assert other.look_up([KEY]) == ["yours"]


def test_vector_when_put_then_nobody_is_its_maker_any_more(open_cache: OpenCache, client: redis.Redis) -> None:
    maker = open_cache()
    maker.look_up([KEY])

    maker.put(KEY, a_vector())

    assert not list(client.scan_iter("*making*"))


def test_vectors_when_too_many_then_the_least_recently_used_go(open_cache: OpenCache, lab: QueueLab) -> None:
    cache = open_cache(max_entries=3)
    for key in ("a", "b", "c"):
        lab.advance(1)
        cache.put(key, a_vector())
    lab.advance(1)
    assert kept(cache, "a") == [True]
    lab.advance(1)

    cache.put("d", a_vector())

    assert list(lab.zset("vecs")) == ["c", "a", "d"]
    assert kept(cache, "a", "b", "c", "d") == [True, False, True, True]


def test_vectors_when_the_bound_has_been_lowered_then_the_surplus_goes(open_cache: OpenCache, lab: QueueLab) -> None:
    cache = open_cache(max_entries=10)
    for number in range(6):
        lab.advance(1)
        cache.put(f"{number}", a_vector())

    open_cache(max_entries=2).put("5", a_vector())

    assert list(lab.zset("vecs")) == ["4", "5"]
    assert len(list(lab.client.scan_iter("*vec:*"))) == 2


def test_vector_when_it_has_another_size_then_it_counts_as_absent(open_cache: OpenCache) -> None:
    open_cache(vector_size=VECTOR_SIZE + 3).put(KEY, np.zeros(VECTOR_SIZE + 3, np.float32))
    # In base64 it is as long as one of the right size.
    open_cache().put("pose:1", np.zeros(VECTOR_SIZE, np.float32)[:-1])
    cache = open_cache()

    assert cache.look_up([KEY, "pose:1"]) == ["yours", "yours"]
    cache.put(KEY, a_vector())
    assert kept(cache, KEY) == [True]


def test_vector_when_it_is_damaged_then_it_counts_as_absent(open_cache: OpenCache, client: redis.Redis) -> None:
    cache = open_cache()
    cache.put(KEY, a_vector())
    text = client.get(f"{{xmdpt}}:vec:{KEY}")
    client.set(f"{{xmdpt}}:vec:{KEY}", "*" * len(text))

    assert cache.look_up([KEY]) == ["yours"]


def test_vector_when_the_server_is_full_then_it_is_not_kept_and_nobody_waits_for_it(
    open_cache: OpenCache, client: redis.Redis
) -> None:
    maker, other = open_cache(), open_cache()
    client.config_set("maxmemory", 1)
    try:
        assert maker.look_up([KEY]) == ["yours"]
        maker.put(KEY, a_vector())
        assert other.look_up([KEY]) == ["yours"]
    finally:
        client.config_set("maxmemory", 0)


def test_cache_when_the_server_is_killed_then_it_is_empty_and_later_all_is_back(
    server_binary: str, tmp_path: Path
) -> None:
    process = RedisProcess(server_binary, tmp_path)
    try:
        with connect(process.url) as client, closing(a_cache(process.url)) as cache:
            load_functions(client)
            cache.put(KEY, a_vector())
            process.kill()

            assert cache.look_up([KEY, "pose:1"]) == ["yours", "yours"]
            cache.put("pose:1", a_vector())
            cache.abandon("pose:1")

            process.start()
            assert kept(cache, KEY, "pose:1") == [True, False]
    finally:
        process.stop()
