"""B20: one, two and three workers on one queue that is never empty; then one of the three is killed, and replaced.

A job's steps count as if they were taken evenly from the beginning to the end of the delivery that made its picture;
what a killed worker had done for the jobs it held counts for nothing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.engine.client import Client, client_of
from benchmarks.engine.curves import CURVES, stepwise_settings
from benchmarks.engine.deployment import Deployment, deployed
from benchmarks.engine.outbox import FINAL, Change, changes
from benchmarks.engine.traffic import fill, mixed_steps
from benchmarks.figures import BrokenRunError, Figure, Target
from benchmarks.policies.stream import NUM_ROWS
from benchmarks.turns import Report
from service.domain.job import DEFAULT_TENANT
from service.scheduling.cost_model import CLAIMED_AHEAD

EVERY_SECONDS = 1.0
"""Time between two values of `OVER_TIME`."""
OVER_TIME = "row-steps a second, each second from the first worker's start on"
ONE = "row-steps a second, one worker"
KILL = "SIGKILL"
MARKS = ("start of the second", "start of the third", KILL, "start of another one")
"""Figures that tell when it happened, seconds from the first worker's start on."""

_MIN_TWO, _MIN_THREE, _MIN_RECOVERED = Target(1.9, "at least"), Target(2.8, "at least"), Target(0.95, "at least")
_NONE = Target(0, "at most")
# Beside the lease: the gateway's upkeep looks fifteen times a lease.
_MAX_REAP_SECONDS = 2.0
# Jobs that may have killed their worker run alone; when they have waited so long, busy workers are emptied for them.
_SUSPECT_PATIENCE_SECONDS = 5.0
_NUM_WORKERS = 3


@dataclass(frozen=True)
class _Effort:
    """How it is run.

    Attributes:
        curve: of the workers' steps.
        lease_seconds: how long the jobs of a killed worker wait for it.
        num_slots: of each worker.
        settle_seconds: longer than any job takes in a full batch.
        window_seconds: of one throughput.
        num_ahead: jobs that wait at any time.
        is_fed_to_the_end: else only until the kill.
    """

    curve: str
    lease_seconds: float
    num_slots: int
    settle_seconds: float
    window_seconds: float
    num_ahead: int
    is_fed_to_the_end: bool


_FULL = _Effort("L", 15, NUM_ROWS + CLAIMED_AHEAD, 8, window_seconds=25, num_ahead=120, is_fed_to_the_end=True)
# Idle workers take the jobs of a dead one at once; a busy one is emptied for them only when they have waited for 5 s.
_QUICK = _Effort("S", 0.5, 4, 0.2, window_seconds=0.3, num_ahead=20, is_fed_to_the_end=False)


@dataclass
class _Run:
    """What was done and when, POSIX seconds; windows are of one, two and three workers, two again, three again.

    Made good is the kill when all jobs that the worker held have ended.
    """

    accepted: list[str]
    starts: list[float]
    windows: list[tuple[float, float]]
    killed_at: float = 0.0
    made_good_at: float = 0.0


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    settings = stepwise_settings(CURVES[effort.curve]) | {
        "QUEUE__LEASE_SECONDS": str(effort.lease_seconds),
        "WORKER__MAX_SLOTS": str(effort.num_slots),
    }
    with deployed(settings) as deployment:
        # Without HTTP, but not without upkeep, which ends leases.
        deployment.start_gateway()
        done, num_steps = asyncio.run(_run(deployment, effort, report))
        return _figures(done, num_steps, changes(deployment), effort)


async def _run(deployment: Deployment, effort: _Effort, report: Report) -> tuple[_Run, Mapping[str, int]]:
    """All of it, and the steps of each job."""
    done, workers = _Run([], [], []), []
    async with client_of(deployment) as client, asyncio.TaskGroup() as group:
        is_enough = asyncio.Event()
        feeding = group.create_task(_feed(client, effort.num_ahead, done.accepted, is_enough))

        async def add_worker() -> None:
            # Nothing is fed meanwhile: a process belongs to the thread that starts it.
            done.starts.append(time.time())
            workers.append(deployment.start_worker())

        async def measure(what: str) -> None:
            report(what)
            await asyncio.sleep(effort.settle_seconds)
            begin = time.time()
            await asyncio.sleep(effort.window_seconds)
            done.windows.append((begin, time.time()))

        await client.wait_until(lambda stats: stats.queued >= effort.num_ahead)
        for number in range(_NUM_WORKERS):
            await add_worker()
            await measure(f"{number + 1} at work")
        await asyncio.sleep(effort.settle_seconds)
        if not effort.is_fed_to_the_end:
            is_enough.set()
        done.killed_at = time.time()
        workers[0].kill()
        report("one killed")
        await _wait_until_made_good(deployment, done.killed_at, effort)
        done.made_good_at = time.time()
        await measure("its jobs have ended on the others")
        await add_worker()
        await measure("another one at work")
        is_enough.set()
        await feeding
        await client.wait_until_empty()
        jobs = [await client.jobs.status(job_id, DEFAULT_TENANT) for job_id in done.accepted]
    return done, {job.id: job.request.params.num_steps for job in jobs}


async def _feed(client: Client, num_ahead: int, accepted: list[str], is_enough: asyncio.Event) -> None:
    """Keep so many jobs waiting, until there are enough."""
    lengths = mixed_steps(100_000)
    while not is_enough.is_set():
        missing = num_ahead - (await client.intake.stats()).queued
        if missing > 0:
            next_ones, lengths = lengths[:missing], lengths[missing:]
            accepted += [each.job_id for each in await fill(client, next_ones)]
        await asyncio.sleep(0.05)


async def _wait_until_made_good(deployment: Deployment, killed_at: float, effort: _Effort) -> None:
    """Return once all jobs that the killed worker held have ended."""
    await asyncio.sleep(effort.lease_seconds + _MAX_REAP_SECONDS * effort.lease_seconds / _FULL.lease_seconds)
    while True:
        since = changes(deployment, killed_at)
        held = _jobs(since, "job.requeued")
        if not held:
            raise BrokenRunError("the killed worker held no job whose lease ran out")
        if held <= {each.job_id for each in since if each.kind in FINAL}:
            return
        await asyncio.sleep(0.2)


def _figures(done: _Run, num_steps: Mapping[str, int], seen: Sequence[Change], effort: _Effort) -> list[Figure]:
    work = deliveries(seen, num_steps)
    one, two, three, two_left, replaced = (rate(work, *window) for window in done.windows)
    meanwhile = rate(work, done.killed_at, done.made_good_at)
    lost_at = {each.job_id: each.at for each in seen if each.kind == "job.requeued" and each.at >= done.killed_at}
    again_at = {each.job_id: each.at for each in seen if each.kind == "job.started" and each.job_id in lost_at}
    num_ends = Counter(each.job_id for each in seen if each.kind in FINAL)
    ended_well = _jobs(seen, "job.succeeded")
    begin, end = done.starts[0], done.windows[-1][1]
    marks = (done.starts[1], done.starts[2], done.killed_at, done.starts[3])
    return [
        Figure("two workers / one", [two / one], target=_MIN_TWO),
        Figure("three workers / one", [three / one], target=_MIN_THREE),
        Figure("two of three left, one killed / two thirds of three", [1.5 * two_left / three], target=_MIN_RECOVERED),
        Figure("likewise, from the kill until its jobs have ended", [1.5 * meanwhile / three]),
        Figure("killed one replaced / three", [replaced / three], target=_MIN_RECOVERED),
        Figure(
            "from the kill until its jobs wait again",
            [at - done.killed_at for at in lost_at.values()],
            "s",
            Target(effort.lease_seconds + _MAX_REAP_SECONDS, "at most"),
        ),
        Figure(
            "from the kill until they run again",
            [at - done.killed_at for at in again_at.values()],
            "s",
            Target(
                effort.lease_seconds + _MAX_REAP_SECONDS + _SUSPECT_PATIENCE_SECONDS + effort.settle_seconds, "at most"
            ),
        ),
        Figure("accepted jobs without their picture", [len(set(done.accepted) - ended_well)], target=_NONE),
        Figure("jobs that ended twice", [sum(number > 1 for number in num_ends.values())], target=_NONE),
        Figure("jobs", [len(done.accepted)]),
        Figure(ONE, [one]),
        Figure(
            OVER_TIME,
            [rate(work, at, at + EVERY_SECONDS) for at in np.arange(begin, end - EVERY_SECONDS, EVERY_SECONDS)],
        ),
        *(Figure(name, [at - begin], "s") for name, at in zip(MARKS, marks, strict=True)),
    ]


def _jobs(seen: Sequence[Change], kind: str) -> set[str]:
    return {each.job_id for each in seen if each.kind == kind}


def deliveries(seen: Sequence[Change], num_steps: Mapping[str, int]) -> list[tuple[float, float, int]]:
    """When the delivery of each job that made its picture began and ended, and its steps."""
    began = {each.job_id: each.at for each in seen if each.kind == "job.started"}
    ends = [each for each in seen if each.kind == "job.succeeded"]
    return [(began[each.job_id], each.at, num_steps[each.job_id]) for each in ends]


def rate(work: Sequence[tuple[float, float, int]], begin: float, end: float) -> float:
    """Row-steps a second from one moment to another."""
    began, ended, steps = np.array(work).T
    shared = np.clip(np.minimum(ended, end) - np.maximum(began, begin), 0, None)
    return float((steps * shared / np.maximum(ended - began, 1e-3)).sum() / (end - begin))
