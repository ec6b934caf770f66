"""Vectors come back bit by bit, one worker makes what nobody has, the oldest give way, and no outage is noticed."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import redis

from service.adapters.queue_functions import load_functions
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_leases import RedisJobLeases
from service.adapters.redis_server import connect
from service.adapters.redis_vectors import RedisKnownVectors, RedisVectorCache
from service.ports.backend import F32
from service.ports.vectors import VectorWish
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


async def test_vector_when_a_gateway_asks_then_it_learns_whether_it_is_there_and_makes_nobody_its_maker(
    open_cache: OpenCache, server: RedisProcess
) -> None:
    known, cache = RedisKnownVectors(server.url, RedisKeys()), open_cache()
    try:
        assert not await known.has(KEY)
        assert cache.look_up([KEY]) == ["yours"]
        assert not await known.has(KEY)
        cache.put(KEY, a_vector())
        assert await known.has(KEY)
    finally:
        await known.aclose()


WISHES = [VectorWish("source", "src_" + "1" * 32, "sha256:1"), VectorWish("pose", "pos_" + "2" * 32, "sha256:2")]


@pytest.fixture
async def gateway(lab: QueueLab, server: RedisProcess) -> AsyncIterator[RedisKnownVectors]:
    """Of an empty server."""
    known = RedisKnownVectors(server.url, RedisKeys())
    yield known
    await known.aclose()


async def test_wish_when_made_twice_then_one_worker_takes_it_once(
    gateway: RedisKnownVectors, open_cache: OpenCache
) -> None:
    for wish in (*WISHES, WISHES[0]):
        await gateway.wish(wish)

    workers = [open_cache(), open_cache(), open_cache()]

    assert [worker.take_wish() for worker in workers] == [WISHES[1], WISHES[0], None]


async def test_wish_when_there_are_too_many_then_the_oldest_give_way(
    gateway: RedisKnownVectors, open_cache: OpenCache
) -> None:
    many = [VectorWish("source", f"src_{number:032x}", "sha256:1") for number in range(103)]
    for wish in many:
        await gateway.wish(wish)

    worker = open_cache()

    assert [worker.take_wish() for _ in range(101)] == [*many[3:], None]


async def test_wish_when_made_then_workers_are_woken(gateway: RedisKnownVectors, server: RedisProcess) -> None:
    leases = RedisJobLeases(server.url, RedisKeys(), QueuePolicy())
    try:
        assert leases.wait_for_news(20), "it listens from now on"
        await gateway.wish(WISHES[0])
        assert leases.wait_for_news(20) == {"work"}
    finally:
        leases.close()


async def test_wish_when_the_server_is_away_then_nobody_notices(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody"
    gateway = RedisKnownVectors(url, RedisKeys())
    await gateway.wish(WISHES[0])
    await gateway.aclose()
    with closing(a_cache(url)) as cache:
        assert cache.take_wish() is None


async def test_vector_when_the_server_is_away_then_a_gateway_takes_it_for_absent(tmp_path: Path) -> None:
    known = RedisKnownVectors(f"unix://{tmp_path}/nobody", RedisKeys())

    assert not await known.has(KEY)
    await known.aclose()


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
