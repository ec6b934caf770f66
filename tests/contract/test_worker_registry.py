"""Who has announced itself is listed with its figures until its time is over, whatever happens to the server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from service.adapters.queue_functions import load_functions
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect
from service.adapters.redis_workers import (
    RedisWorkerAnnouncements,
    RedisWorkerRegistry,
    report_from_json,
    report_to_json,
)
from service.domain.capacity import Activity, Capacity, StepCurve, WorkerReport
from service.domain.errors import StorageError
from service.domain.execution import Execution
from tests.fakes.queue_lab import QueueLab
from tests.fakes.redis_process import RedisProcess

ALIVE_SECONDS = 10.0
CAPACITY = Capacity(
    curve=StepCurve(((1, 0.1), (2, 1 / 3), (8, 1e-7)), call_seconds=0.001),
    stage_seconds={"vae_decoder": 0.07, "condition": 2 / 3},
    execution=Execution.WHOLE_LOOP,
    max_batch=8,
    num_slots=16,
    is_shortest_first=True,
    max_low_batch=1,
)


def a_report(worker: str = "w", **changes: int) -> WorkerReport:
    return WorkerReport(worker, "fake", "sha256:" + "cd" * 32, replace(CAPACITY, **changes), Activity(3, 2.5, 17))


@dataclass
class Sides:
    announcements: RedisWorkerAnnouncements
    registry: RedisWorkerRegistry

    async def alive(self) -> set[str]:
        return {report.worker for report in await self.registry.reports()}


@asynccontextmanager
async def open_sides(url: str) -> AsyncIterator[Sides]:
    sides = Sides(RedisWorkerAnnouncements(url, RedisKeys()), RedisWorkerRegistry(url, RedisKeys()))
    try:
        yield sides
    finally:
        sides.announcements.close()
        await sides.registry.aclose()


@pytest.fixture
async def sides(lab: QueueLab, server: RedisProcess) -> AsyncIterator[Sides]:
    """Both sides on an empty server whose clock is the lab's."""
    async with open_sides(server.url) as sides:
        yield sides


async def test_worker_when_announced_then_its_figures_are_read_exactly(sides: Sides) -> None:
    assert await sides.registry.reports() == []

    sides.announcements.announce(a_report(), ALIVE_SECONDS)

    assert await sides.registry.reports() == [a_report()]


async def test_worker_when_announced_again_then_the_newest_figures_count(sides: Sides) -> None:
    sides.announcements.announce(a_report(), ALIVE_SECONDS)

    sides.announcements.announce(a_report(max_batch=4), ALIVE_SECONDS)

    assert await sides.registry.reports() == [a_report(max_batch=4)]


async def test_worker_when_silent_for_its_time_then_it_is_gone(sides: Sides, lab: QueueLab) -> None:
    sides.announcements.announce(a_report("silent"), ALIVE_SECONDS)
    lab.advance(9_999)
    sides.announcements.announce(a_report("alive"), ALIVE_SECONDS)
    assert await sides.alive() == {"silent", "alive"}

    lab.advance(1)

    assert await sides.alive() == {"alive"}
    assert list(lab.zset("workers")) == ["alive"]


async def test_workers_when_nobody_reads_then_the_silent_ones_are_dropped_at_an_announcement(
    sides: Sides, lab: QueueLab
) -> None:
    for number in range(5):
        sides.announcements.announce(a_report(f"{number}"), ALIVE_SECONDS)
        lab.advance(20_000)

    assert list(lab.zset("workers")) == ["4"]
    assert list(lab.client.hkeys("{xmdpt}:worker_reports")) == ["4"]


async def test_worker_when_withdrawn_then_it_is_gone_at_once(sides: Sides) -> None:
    for name in ("stays", "goes"):
        sides.announcements.announce(a_report(name), ALIVE_SECONDS)

    for _ in range(2):
        sides.announcements.withdraw("goes")
        assert await sides.alive() == {"stays"}


@pytest.mark.parametrize("execution", Execution)
def test_report_when_stored_then_it_is_read_as_it_was(execution: Execution) -> None:
    report = a_report(execution=execution, is_shortest_first=False)

    assert report_from_json(report_to_json(report)) == report


def test_report_when_its_worker_does_not_say_what_it_does_then_its_figures_count() -> None:
    fields = json.loads(report_to_json(a_report()))
    del fields["activity"]

    assert report_from_json(json.dumps(fields)) == replace(a_report(), activity=Activity())


def test_report_when_its_worker_does_not_say_how_many_rows_are_low_then_as_many_as_others() -> None:
    fields = json.loads(report_to_json(a_report()))
    del fields["capacity"]["max_low_batch"]

    capacity = report_from_json(json.dumps(fields)).capacity

    assert capacity.most_rows(is_low=True) == capacity.most_rows(is_low=False) == CAPACITY.max_batch


@pytest.mark.parametrize("part", ["", "capacity", "curve", "activity"])
def test_report_when_a_newer_version_says_more_then_what_is_known_counts(part: str) -> None:
    fields = json.loads(report_to_json(a_report()))
    place = {"": fields, "capacity": fields["capacity"], "curve": fields["capacity"]["curve"]}
    (place | {"activity": fields["activity"]})[part]["shade"] = 3

    assert report_from_json(json.dumps(fields)) == a_report()


FOREIGN = {
    "no JSON": "worker",
    "no object": "[1]",
    "empty": "{}",
    "no points": report_to_json(a_report()).replace("[[1,0.1],", "[[9,0.1],"),
    "unknown execution": report_to_json(a_report()).replace("whole_loop", "sometimes"),
    "an activity of text": json.dumps(json.loads(report_to_json(a_report())) | {"activity": "idle"}),
    "a capacity of text": json.dumps(json.loads(report_to_json(a_report())) | {"capacity": "large"}),
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
async def test_report_when_it_can_not_be_read_then_it_is_left_out(sides: Sides, lab: QueueLab, text: str) -> None:
    lab.call("q1_worker_announce", "other", text, 1000)
    sides.announcements.announce(a_report(), ALIVE_SECONDS)

    assert await sides.registry.reports() == [a_report()]


async def test_worker_when_the_server_is_full_then_it_is_announced_all_the_same(sides: Sides, lab: QueueLab) -> None:
    lab.client.config_set("maxmemory", 1)
    try:
        sides.announcements.announce(a_report(), ALIVE_SECONDS)
        assert await sides.alive() == {"w"}
        sides.announcements.withdraw("w")
    finally:
        lab.client.config_set("maxmemory", 0)


async def test_registry_when_the_server_is_killed_then_it_says_so_and_later_all_is_back(
    server_binary: str, tmp_path: Path
) -> None:
    process = RedisProcess(server_binary, tmp_path)
    try:
        async with open_sides(process.url) as sides:
            with connect(process.url) as client:
                load_functions(client)
            sides.announcements.announce(a_report(), 1000)
            process.kill()

            for call in (
                lambda: sides.announcements.announce(a_report(), 1000),
                lambda: sides.announcements.withdraw("w"),
            ):
                with pytest.raises(StorageError, match="does not answer"):
                    call()
            with pytest.raises(StorageError, match="does not answer"):
                await sides.registry.reports()

            process.start()
            assert await sides.alive() == {"w"}
    finally:
        process.stop()
