"""The library's records in real servers: found again, kept apart by tenant, bounded, and gone when nobody uses them."""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from service.adapters.queue_functions import load_functions
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_library import RedisPictureLibrary
from service.adapters.redis_server import connect
from service.domain.errors import StorageError
from service.domain.library import KEPT_SECONDS, PREFIXES, NewPicture, PictureKind, StoredPicture
from service.domain.pose import KeyPoints
from tests.fakes.memory_library import MemoryLibrary
from tests.fakes.queue_lab import PREFIX, QueueLab
from tests.fakes.redis_process import RedisProcess

KEPT_MS = KEPT_SECONDS * 1000
MAX_PICTURES = 3
POINTS = KeyPoints(tuple([(1.5, 2.0), None] * 9), (176.0, 256.0), (40.0, -0.5))


def a_picture(number: int = 1, kind: PictureKind = "source", tenant: str = "ada", **fields: object) -> NewPicture:
    digest = f"sha256:{number:064x}"
    picture = NewPicture(f"{PREFIXES[kind]}{secrets.token_hex(16)}", kind, tenant, digest, 300, 400)
    return dataclasses.replace(picture, **fields)  # pyright: ignore[reportArgumentType]


def new_part(picture: StoredPicture) -> NewPicture:
    return NewPicture(**{field.name: getattr(picture, field.name) for field in dataclasses.fields(NewPicture)})


def check(lab: QueueLab) -> None:
    """Every record is in both indexes, and nothing else is."""
    names = {key.rpartition(":")[2]: key for key in lab.client.scan_iter(f"{PREFIX}picture:*")}
    records = {name: lab.client.hgetall(key) for name, key in names.items()}
    assert {name: float(record["used_ms"]) for name, record in records.items()} == lab.zset("pictures")
    listed: dict[str, str] = {}
    for key in lab.client.scan_iter(f"{PREFIX}pictures_of:*"):
        for content, name in lab.client.hgetall(key).items():
            assert records[name]["content"] == content
            assert key == f"{PREFIX}pictures_of:{records[name]['tenant']}"
            listed[name] = key
    assert listed.keys() == records.keys()


@pytest.fixture
async def real(lab: QueueLab, server: RedisProcess) -> AsyncIterator[RedisPictureLibrary]:
    """Under the lab's clock."""
    library = RedisPictureLibrary(server.url, RedisKeys(), MAX_PICTURES)
    yield library
    await library.aclose()
    check(lab)


@pytest.fixture(params=["redis", "memory"])
async def library(request: pytest.FixtureRequest, real: RedisPictureLibrary) -> RedisPictureLibrary | MemoryLibrary:
    """What gateways use, and the fake that stands for it in other tests."""
    return MemoryLibrary(MAX_PICTURES) if request.param == "memory" else real


@pytest.mark.parametrize(
    "picture",
    [a_picture(), a_picture(kind="pose"), a_picture(kind="pose", key_points=POINTS)],
    ids=["source", "drawing", "key points"],
)
async def test_picture_when_added_then_it_is_found_as_it_was(
    library: RedisPictureLibrary | MemoryLibrary, picture: NewPicture
) -> None:
    added = await library.add(picture)

    assert added
    assert new_part(added) == picture
    assert added.expires_at == pytest.approx(added.created_at + KEPT_SECONDS, abs=1e-3)
    used = await library.use(picture.id, "ada")
    assert used
    assert dataclasses.replace(used, expires_at=added.expires_at) == added


async def test_picture_when_added_again_then_the_first_one_stands_for_it(
    library: RedisPictureLibrary | MemoryLibrary,
) -> None:
    first = a_picture()
    await library.add(first)

    for again in (a_picture(), first):
        found = await library.add(again)
        assert found
        assert found.id == first.id


@pytest.mark.parametrize(
    "other",
    [
        a_picture(tenant="bob"),
        a_picture(kind="pose"),
        a_picture(number=2),
        a_picture(width_px=301),
        a_picture(key_points=POINTS),
    ],
    ids=["tenant", "kind", "pixels", "size", "key points"],
)
async def test_picture_when_anything_about_it_differs_then_it_is_another_one(
    library: RedisPictureLibrary | MemoryLibrary, other: NewPicture
) -> None:
    await library.add(a_picture())

    added = await library.add(other)

    assert added
    assert new_part(added) == other


async def test_picture_when_sixteen_add_it_at_once_then_there_is_one(
    library: RedisPictureLibrary | MemoryLibrary,
) -> None:
    added = await asyncio.gather(*(library.add(a_picture()) for _ in range(16)))

    assert len({picture.id for picture in added if picture}) == 1


async def test_picture_when_the_tenant_has_too_many_then_none_is_added_until_one_goes(
    library: RedisPictureLibrary | MemoryLibrary,
) -> None:
    kept = [await library.add(a_picture(number)) for number in range(MAX_PICTURES)]

    assert await library.add(a_picture(9)) is None
    assert await library.add(a_picture(0)), "it is there already"
    assert await library.add(a_picture(9, tenant="bob"))
    assert kept[0]
    await library.delete(kept[0].id, "ada")
    assert await library.add(a_picture(9))


async def test_picture_when_it_is_another_tenants_then_it_is_as_if_there_were_none(
    library: RedisPictureLibrary | MemoryLibrary,
) -> None:
    added = await library.add(a_picture())
    assert added

    for picture_id in (added.id, "src_" + "0" * 32):
        assert await library.use(picture_id, "bob") is None
        assert await library.delete(picture_id, "bob") is False
    assert await library.use(added.id, "ada")


async def test_picture_when_deleted_then_it_is_gone_once(library: RedisPictureLibrary | MemoryLibrary) -> None:
    added = await library.add(a_picture())
    assert added

    assert [await library.delete(added.id, "ada") for _ in range(2)] == [True, False]

    assert await library.use(added.id, "ada") is None
    new = await library.add(a_picture())
    assert new
    assert new.id != added.id


async def test_pixels_when_their_record_is_deleted_then_upkeep_is_told_until_they_are_gone(
    real: RedisPictureLibrary, lab: QueueLab
) -> None:
    picture = a_picture()
    await real.add(picture)
    await real.delete(picture.id, "ada")

    assert lab.reap()[4] == lab.reap()[4] == [picture.id]
    assert lab.reap(picture.id)[4] == []


async def test_pictures_when_unused_for_a_week_then_those_go(real: RedisPictureLibrary, lab: QueueLab) -> None:
    used, unused = a_picture(1), a_picture(2)
    for picture in (used, unused):
        await real.add(picture)
    lab.advance(KEPT_MS - 1)
    assert lab.reap()[4] == []
    again = await real.use(used.id, "ada")
    await real.add(a_picture(2))  # which is no use of the first
    lab.advance(1)

    assert lab.reap()[4] == [unused.id]

    assert again
    assert again.expires_at == pytest.approx((lab.now - 1) / 1000 + KEPT_SECONDS)
    assert await real.use(unused.id, "ada") is None
    assert await real.use(used.id, "ada")


async def test_reap_when_many_pictures_are_unused_then_a_round_stays_short(lab: QueueLab, server: RedisProcess) -> None:
    library = RedisPictureLibrary(server.url, RedisKeys(), 100)
    for number in range(5):
        await library.add(a_picture(number))
    lab.advance(KEPT_MS)

    left = [(lab.reap(limit=2), len(lab.zset("pictures")))[1] for _ in range(3)]

    await library.aclose()
    assert left == [3, 1, 0]
    check(lab)


async def test_library_when_the_server_is_full_then_pictures_can_be_used_and_deleted(
    real: RedisPictureLibrary, client: redis.Redis
) -> None:
    picture = a_picture()
    await real.add(picture)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StorageError):
            await real.add(a_picture(2))
        assert await real.use(picture.id, "ada")
        assert await real.delete(picture.id, "ada")
    finally:
        client.config_set("maxmemory", 0)


async def test_library_when_the_server_is_killed_then_no_picture_is_lost(server_binary: str, tmp_path: Path) -> None:
    process = RedisProcess(server_binary, tmp_path)
    library = RedisPictureLibrary(process.url, RedisKeys(), MAX_PICTURES)
    try:
        with connect(process.url) as client:
            load_functions(client)
        picture = a_picture(kind="pose", key_points=POINTS)
        added = await library.add(picture)
        process.kill()
        process.start()

        assert added
        assert await library.add(a_picture(kind="pose", key_points=POINTS)) == added
    finally:
        await library.aclose()
        process.stop()
