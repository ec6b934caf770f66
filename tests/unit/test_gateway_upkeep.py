"""What a gateway does unasked: old pictures and strays go, the books are checked, outages are waited out."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import pytest
import structlog

from service.domain.errors import StorageError
from service.gateway.upkeep import Upkeep
from service.ports.audit import InvariantKind
from service.telemetry.metrics import GatewayMetrics
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_books import MemoryManifests
from tests.unit.builders import a_job_id

DAY_SECONDS = 86_400


@pytest.fixture
def queue() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def upkeep(queue: FakeIntake, blobs: MemoryBlobs) -> Upkeep:
    return Upkeep(queue, queue, queue, blobs, MemoryManifests(), lease_seconds=0.015, metrics=GatewayMetrics("test"))


def store(blobs: MemoryBlobs, *numbers: int) -> None:
    for number in numbers:
        blobs.put_input(a_job_id(number), b"in")
        blobs.put_output(a_job_id(number), number, b"out")


def left(blobs: MemoryBlobs) -> set[str]:
    """The jobs of which anything is stored."""
    return {name.partition("/")[2].partition(".")[0] for name in blobs.content}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


async def test_run_when_the_functions_are_not_ours_then_they_are_looked_after_again_and_again(
    upkeep: Upkeep, queue: FakeIntake
) -> None:
    queue.functions_trouble = StorageError("queue_unavailable", "they are too old")
    running = asyncio.create_task(upkeep.run())

    with structlog.testing.capture_logs() as lines:
        await until(lambda: queue.num_ensured > 2)
    running.cancel()

    (line,) = [line for line in lines if line["event"] == "upkeep_failed"]
    assert line["detail"] == "they are too old"


async def test_reap_when_pictures_are_due_then_those_go_and_no_others(
    upkeep: Upkeep, queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    store(blobs, 1, 2, 3)
    queue.expired = [a_job_id(1), a_job_id(3), a_job_id(9)]

    await upkeep.reap()
    await upkeep.delete()

    assert left(blobs) == {a_job_id(2)}
    store(blobs, 1)
    await upkeep.reap()
    await upkeep.delete()
    assert left(blobs) == {a_job_id(1), a_job_id(2)}, "once is enough"


async def test_delete_when_a_picture_of_the_library_is_named_then_its_file_goes(
    upkeep: Upkeep, queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    named, other = "src_" + "1" * 32, "pos_" + "1" * 32
    for picture_id in (named, other):
        blobs.put_picture(picture_id, b"lib")
    store(blobs, 1)
    queue.expired = [named]

    for _ in range(2):
        await upkeep.reap()
        await upkeep.delete()

    assert left(blobs) == {other, a_job_id(1)}
    assert queue.expired == []


async def test_delete_when_the_storage_fails_in_between_then_the_next_rounds_delete_the_rest(
    upkeep: Upkeep, queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    store(blobs, 1, 2)
    queue.expired = [a_job_id(1), a_job_id(2)]
    blobs.is_down = True
    await upkeep.reap()
    with pytest.raises(StorageError):
        await upkeep.delete()
    blobs.is_down = False

    for _ in range(2):
        await upkeep.reap()
        await upkeep.delete()

    assert left(blobs) == set()


async def test_reap_when_deleting_is_behind_then_what_waits_does_not_grow(
    upkeep: Upkeep, queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    store(blobs, *range(1, 9))
    for first in (1, 3, 5, 7):
        queue.expired = [a_job_id(first), a_job_id(first + 1)]
        await upkeep.reap()

    await upkeep.delete()

    # The queue names the others again.
    assert left(blobs) == {a_job_id(number) for number in range(3, 9)}


async def test_reap_when_its_answer_is_lost_then_what_was_deleted_is_reported_again(
    upkeep: Upkeep, queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    store(blobs, 1)
    queue.expired = [a_job_id(1)]
    await upkeep.reap()
    await upkeep.delete()
    queue.trouble = "refuses"
    with pytest.raises(StorageError):
        await upkeep.reap()
    queue.trouble = "none"

    await upkeep.reap()

    assert queue.expired == []


async def test_sweep_when_run_then_only_what_no_job_can_need_any_more(upkeep: Upkeep, blobs: MemoryBlobs) -> None:
    await upkeep.sweep()

    (older_than_seconds,) = blobs.sweeps
    # The longest retention is a day, and a record points to a picture for no longer.
    assert older_than_seconds > 7 * DAY_SECONDS


async def test_audit_when_something_is_wrong_then_it_is_counted_and_logged(
    queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    metrics = GatewayMetrics("test")
    queue.violations = {"lease": [a_job_id(number) for number in range(20)], "live": ["default"]}

    with structlog.testing.capture_logs() as lines:
        await Upkeep(queue, queue, queue, blobs, MemoryManifests(), 1, metrics).audit()

    counted = {kind: metrics.invariant_violations.labels(kind)._value.get() for kind in get_args(InvariantKind)}
    assert {kind: count for kind, count in counted.items() if count} == {"lease": 20, "live": 1}
    assert [(line["event"], line["kind"], line["num_found"]) for line in lines] == [
        ("queue_invariant_violated", "lease", 20),
        ("queue_invariant_violated", "live", 1),
    ]
    assert len(lines[0]["ids"]) == 10, "a log line has an end"


async def test_run_when_a_minute_has_passed_then_it_audits(queue: FakeIntake, blobs: MemoryBlobs) -> None:
    upkeep = Upkeep(
        queue, queue, queue, blobs, MemoryManifests(), 0.015, GatewayMetrics("test"), audit_every_seconds=0.01
    )
    task = asyncio.create_task(upkeep.run())

    await until(lambda: queue.num_audits >= 3)

    assert queue.num_reaps >= 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_run_when_the_queue_is_away_then_no_audit_before_its_minute_is_over(
    queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    metrics = GatewayMetrics("test")
    queue.trouble = "refuses"
    task = asyncio.create_task(
        Upkeep(queue, queue, queue, blobs, MemoryManifests(), 0.015, metrics, audit_every_seconds=60).run()
    )
    await until(lambda: metrics.redis_errors._value.get() >= 3)
    queue.trouble = "none"

    await until(lambda: queue.num_reaps >= 3)

    assert queue.num_audits == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Stuck:
    """Lets a call begin and not end, until released."""

    def __init__(self) -> None:
        self.has_begun, self._release = threading.Event(), threading.Event()

    def block(self, *_: object) -> int:
        self.has_begun.set()
        assert self._release.wait(60)
        return 0

    async def hang(self) -> Mapping[InvariantKind, Sequence[str]]:
        self.has_begun.set()
        await asyncio.Event().wait()
        return {}

    def release(self) -> None:
        self._release.set()


@pytest.mark.parametrize("duty", ["delete", "sweep", "audit"])
async def test_run_when_another_duty_takes_long_then_leases_are_reaped_on(
    queue: FakeIntake, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch, duty: str
) -> None:
    stuck = Stuck()
    queue.expired = [a_job_id(1)]
    if duty == "audit":
        monkeypatch.setattr(queue, "audit", stuck.hang)
    else:
        monkeypatch.setattr(blobs, "delete_job" if duty == "delete" else "sweep", stuck.block)
    upkeep = Upkeep(
        queue, queue, queue, blobs, MemoryManifests(), 0.015, GatewayMetrics("test"), audit_every_seconds=0.01
    )
    task = asyncio.create_task(upkeep.run())
    try:
        await until(stuck.has_begun.is_set)
        before = queue.num_reaps
        await until(lambda: queue.num_reaps >= before + 20)
    finally:
        stuck.release()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("duty", ["reap", "delete", "audit"])
async def test_run_when_a_duty_meets_the_unforeseen_then_it_is_logged_and_goes_on(
    queue: FakeIntake, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch, duty: str
) -> None:
    num_calls = 0

    def fail(*_: object) -> None:
        nonlocal num_calls
        num_calls += 1
        raise KeyError("unforeseen")

    queue.expired = [a_job_id(1)]
    monkeypatch.setattr(blobs if duty == "delete" else queue, "delete_job" if duty == "delete" else duty, fail)
    upkeep = Upkeep(
        queue, queue, queue, blobs, MemoryManifests(), 0.015, GatewayMetrics("test"), audit_every_seconds=0.01
    )
    with structlog.testing.capture_logs() as lines:
        task = asyncio.create_task(upkeep.run())
        await until(lambda: num_calls >= 3 or task.done())

        assert num_calls >= 3
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert {(line["event"], line["log_level"], line["exc_info"]) for line in lines} == {
        ("upkeep_failed", "error", True)
    }


async def test_run_when_going_on_then_it_reaps_often_and_sweeps_once_at_the_start(
    upkeep: Upkeep, queue: FakeIntake, blobs: MemoryBlobs
) -> None:
    task = asyncio.create_task(upkeep.run())
    for number in range(1, 6):
        store(blobs, number)
        queue.expired = [a_job_id(number)]
        await until(lambda: not left(blobs))

    assert len(blobs.sweeps) == 1
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("part", ["queue", "storage"])
async def test_run_when_something_is_away_for_a_while_then_it_goes_on_afterwards(
    upkeep: Upkeep, queue: FakeIntake, blobs: MemoryBlobs, part: str
) -> None:
    store(blobs, 1)
    queue.expired = [a_job_id(1)]
    queue.trouble = "refuses" if part == "queue" else "none"
    blobs.is_down = part == "storage"
    task = asyncio.create_task(upkeep.run())
    if part == "storage":
        await until(lambda: queue.num_reaps > 0)

    queue.trouble, blobs.is_down = "none", False

    await until(lambda: not left(blobs))
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
