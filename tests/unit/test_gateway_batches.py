"""What is told of a batch while the queue comes and goes."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from service.domain.batch import BatchEnd, BatchId, BatchStatus
from service.domain.errors import StorageError
from service.domain.job import DEFAULT_TENANT, JobStatus
from service.gateway.batches import Batches
from tests.fakes.memory_books import MemoryBooks

Answer = tuple[BatchStatus, Sequence[BatchEnd]]


def ends(first: int, number: int) -> Sequence[BatchEnd]:
    return [BatchEnd(first + place, f"item-{first + place}", JobStatus.FAILED) for place in range(number)]


class ScriptedBooks(MemoryBooks):
    """Answers as it is written."""

    def __init__(self, *script: Answer | StorageError) -> None:
        super().__init__()
        self._script: Iterator[Answer | StorageError] = iter(script)

    async def ends(self, batch_id: BatchId, tenant: str, after: int, limit: int) -> Answer:
        answer = next(self._script)
        if isinstance(answer, StorageError):
            raise answer
        return answer


async def test_follow_when_the_queue_is_away_behind_the_last_status_then_all_that_is_left_is_told() -> None:
    books = ScriptedBooks(
        (BatchStatus.COMPLETED, ends(1, 100)),
        StorageError("queue_unavailable", ""),
        (BatchStatus.COMPLETED, ends(101, 50)),
        (BatchStatus.COMPLETED, ()),
    )
    nobody = cast("Any", None)
    batches = Batches(books, nobody, nobody, nobody, nobody, nobody, nobody)

    told = [end.number async for some in batches.follow("bat_1", DEFAULT_TENANT, 0, is_live=True) for end in some]

    assert told == list(range(1, 151))
