"""The feeder where what it needs is gone or damaged: that batch's items end, and the other batches go on."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from service.domain.batch import BatchId, job_id_of_item
from service.domain.errors import StorageError
from service.domain.inputs import PICTURE_BYTES
from service.domain.job import DEFAULT_TENANT, JobStatus
from service.domain.library import StoredPicture
from service.gateway.batch_feeder import BatchFeeder
from service.gateway.batch_items import BatchItem, ItemPose, item_to_line
from service.gateway.library import Library
from service.ports.batches import FeedingTurn, SkippedItem
from service.telemetry.metrics import GatewayMetrics
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_books import MemoryBooks, MemoryManifests
from tests.fakes.memory_library import MemoryLibrary
from tests.fakes.running_gateway import MODEL
from tests.unit.builders import a_submission, an_input

BATCH, OTHER = f"bat_{1:032x}", f"bat_{2:032x}"
OPTIONS = a_submission().options


class ScriptedBooks(MemoryBooks):
    """Says what the test wants to be fed, and remembers what ended without being a job."""

    def __init__(self, *turns: FeedingTurn) -> None:
        super().__init__()
        self._turns = turns
        self.skipped: dict[BatchId, list[SkippedItem]] = {}
        self.set_asides: list[BatchId] = []

    async def turns(self, feeder: str, lease_seconds: float) -> Sequence[FeedingTurn]:
        return self._turns

    async def set_aside(self, batch_id: BatchId) -> None:
        self.set_asides.append(batch_id)

    async def skip(self, batch_id: BatchId, index: int, items: Sequence[SkippedItem]) -> None:
        self.skipped.setdefault(batch_id, []).extend(items)


class Table:
    """A feeder and everything around it."""

    def __init__(self, *turns: FeedingTurn) -> None:
        self.books, self.manifests, self.blobs, self.intake = (
            ScriptedBooks(*turns),
            MemoryManifests(),
            MemoryBlobs(),
            FakeIntake(),
        )
        memory = MemoryLibrary()
        library = Library(memory, self.blobs, memory, MODEL.digest)
        metrics = GatewayMetrics("test")
        self.feeder = BatchFeeder(self.books, self.manifests, self.intake, self.blobs, library, MODEL, metrics)

    def failures(self, batch_id: BatchId) -> list[tuple[str, str]]:
        return [(item.custom_id, item.failure.code) for item in self.books.skipped[batch_id] if item.failure]


def a_turn(batch_id: BatchId = BATCH, **fields: Any) -> FeedingTurn:
    plain = {"cursor": 0, "num_left": 2, "room": 10, "ending": None, "seconds_left": 100.0}
    return FeedingTurn(batch_id, DEFAULT_TENANT, **(plain | fields))


def an_item(number: int, **fields: Any) -> bytes:
    """One whose pictures came with the call."""
    return item_to_line(BatchItem(number, f"name-{number}", 4, OPTIONS, **fields))


async def test_feed_when_all_is_well_then_each_item_becomes_its_job() -> None:
    table = Table(a_turn())
    table.manifests.put(BATCH, [an_item(0), an_item(1)])
    for number in range(2):
        table.blobs.put_input(job_id_of_item(BATCH, number), an_input(number))

    assert await table.feeder.feed() is False
    assert [job.id for job in table.intake.accepted] == [job_id_of_item(BATCH, number) for number in range(2)]
    assert [job.batch.custom_id for job in table.intake.accepted if job.batch] == ["name-0", "name-1"]
    assert {job.deadline_seconds for job in table.intake.accepted} == {100.0}


@pytest.mark.parametrize(
    "lines", [None, [], [b"{"], [b"[]"], [b"{}"]], ids=["gone", "empty", "no JSON", "list", "void"]
)
async def test_feed_when_a_manifest_is_lost_then_its_items_say_so_and_others_go_on(lines: list[bytes] | None) -> None:
    table = Table(a_turn(), a_turn(OTHER, num_left=1))
    if lines is not None:
        table.manifests.put(BATCH, lines)
    table.manifests.put(OTHER, [an_item(0)])
    table.blobs.put_input(job_id_of_item(OTHER, 0), an_input())

    await table.feeder.feed()

    assert table.failures(BATCH) == [("item-0", "input_lost"), ("item-1", "input_lost")]
    assert [job.id for job in table.intake.accepted] == [job_id_of_item(OTHER, 0)]


@pytest.mark.parametrize("content", [None, b"half a pict"], ids=["gone", "damaged"])
async def test_feed_when_an_items_pictures_are_lost_then_it_fails_alone(content: bytes | None) -> None:
    table = Table(a_turn())
    table.manifests.put(BATCH, [an_item(0), an_item(1)])
    if content:
        table.blobs.put_input(job_id_of_item(BATCH, 0), content)
    table.blobs.put_input(job_id_of_item(BATCH, 1), an_input())

    await table.feeder.feed()

    assert table.failures(BATCH) == [("name-0", "input_lost")]
    assert [job.id for job in table.intake.accepted] == [job_id_of_item(BATCH, 1)]


def of_a_newer_version(line: bytes, **changes: Any) -> bytes:
    """A manifest's line with other fields, or more of them, in its options."""
    fields = json.loads(line)
    return json.dumps(fields | {"options": fields["options"] | changes}).encode()


NEWER = {
    "preset": an_item(0, source_id="src_" + "1" * 32, pose=ItemPose(preset="of a newer version")),
    "field": of_a_newer_version(an_item(0), shade=3),
    "sampler": of_a_newer_version(an_item(0), sampler="of a newer version"),
}


@pytest.mark.parametrize("line", NEWER.values(), ids=NEWER)
async def test_feed_when_only_a_newer_version_knows_an_item_then_it_is_left_to_one_and_others_go_on(
    line: bytes,
) -> None:
    table = Table(a_turn(num_left=1), a_turn(OTHER, num_left=1))
    source = await a_source(table)
    table.manifests.put(BATCH, [line.replace(b"src_" + b"1" * 32, source.id.encode())])
    table.manifests.put(OTHER, [an_item(0)])
    table.blobs.put_input(job_id_of_item(OTHER, 0), an_input())

    assert await table.feeder.feed() is False

    assert table.books.set_asides == [BATCH]
    assert table.books.skipped == {}
    assert [job.id for job in table.intake.accepted] == [job_id_of_item(OTHER, 0)]


@pytest.mark.parametrize("line", NEWER.values(), ids=NEWER)
async def test_feed_when_a_batch_of_a_newer_version_is_no_longer_wanted_then_it_ends_here(line: bytes) -> None:
    table = Table(a_turn(num_left=1, ending="overdue"))
    table.manifests.put(BATCH, [line])

    assert await table.feeder.feed() is True

    assert table.failures(BATCH) == [("name-0", "deadline_exceeded")]
    assert table.books.set_asides == []


async def test_feed_when_the_storage_is_down_then_nothing_ends_and_it_is_tried_again() -> None:
    table = Table(a_turn())
    table.manifests.put(BATCH, [an_item(0), an_item(1)])
    table.blobs.is_down = True

    with pytest.raises(StorageError):
        await table.feeder.feed()
    assert table.books.skipped == {}


async def test_feed_when_the_batch_is_cancelled_then_its_items_end_and_their_pictures_go() -> None:
    table = Table(a_turn(ending="cancelled"))
    table.manifests.put(BATCH, [an_item(0), an_item(1)])
    table.blobs.put_input(job_id_of_item(BATCH, 1), an_input())

    assert await table.feeder.feed() is True
    assert [item.status for item in table.books.skipped[BATCH]] == [JobStatus.CANCELLED] * 2
    assert table.blobs.content == {}


async def a_source(table: Table) -> StoredPicture:
    class Picture:
        pixels = bytes(PICTURE_BYTES)
        width_px = height_px = 256

    stored, _ = await table.feeder._library.add("source", DEFAULT_TENANT, Picture())
    return stored
