"""A batch whose manifest an older version can't read, in the real queue: whose turn it is."""

from collections.abc import AsyncIterator

import pytest

from service.adapters.redis_batches import RedisBatchBooks
from service.adapters.redis_keys import RedisKeys
from service.domain.batch import NewBatch
from tests.contract.queue_parts import POLICY, open_queue
from tests.fakes.redis_process import RedisProcess

NEWER, OTHER = "bat_" + "1" * 32, "bat_" + "2" * 32


@pytest.fixture
async def books(server: RedisProcess) -> AsyncIterator[RedisBatchBooks]:
    async with open_queue(server.url) as queue:
        books = RedisBatchBooks(queue.url, RedisKeys(), POLICY)
        yield books
        await books.aclose()


async def test_batch_when_set_aside_then_feeders_of_a_newer_version_get_it_and_those_of_this_one_the_others(
    books: RedisBatchBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch_id in (NEWER, OTHER):
        await books.open(NewBatch(batch_id, "default", 2, 8, 60.0, 60.0, {}))

    async def fed(feeder: str) -> dict[str, str | None]:
        return {turn.batch_id: turn.ending for turn in await books.turns(feeder, 60.0)}

    assert await fed("here") == {NEWER: None, OTHER: None}
    await books.set_aside(NEWER)
    assert await fed("here") == {OTHER: None}
    with monkeypatch.context() as newer:
        newer.setattr("service.adapters.redis_batches.reader_name", lambda: "newer")
        assert await fed("there") == {NEWER: None}

    await books.cancel(NEWER, "default")
    assert await fed("here") == {NEWER: "cancelled", OTHER: None}
