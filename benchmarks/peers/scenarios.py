"""The scenarios: what the callers do with one service that runs, and what is found.

Services are started, and turns taken, by `benchmarks.peers.comparison`.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

import numpy as np

from benchmarks.figures import BrokenRunError
from loadtests.peers.callers import Callers
from loadtests.peers.processes import ServiceProcess
from loadtests.peers.services import Service
from loadtests.peers.traffic import STEPS, job, jobs, mixed, poisson
from loadtests.records import Record

LOADS = (0.3, 0.5, 0.7, 0.9, 1.1, 1.3)
"""Of our own capacity, as a closed loop finds it: an open one may get more done, as it orders more jobs."""
SHOWN_LOAD = 0.7
"""The one whose latencies are told."""
IN_TIME_SHARE = 0.9
"""So many of 100 jobs must be in time where a service is said to bear a rate."""
SLO_FACTOR = 6.0
"""A job is in time within so many times what one of as many steps takes alone, with us; as in loadtests."""
_STEPS = 20
# Numbers of their first jobs, far enough from each other: nobody comes twice to a service, so that no vector is known
# from another scenario. Those below are for whoever starts it.
_REFERENCE, _WARM_UP, _LONE, _SATURATED, _PERSON, _CANCELS = 1000, 2000, 2100, 2200, 3000, 3500
_KILL, _EDGE, _MIXED = 4000, 5000, 6500
_IDLE_CORES = 0.15
_SETTLE_SECONDS = 30.0
_LOOK_SECONDS = 0.2
# Nobody asks anew so long after the kill. A job that takes longer than a caller's patience is lost: it is the same for
# all, and many times what a restart takes, so that ours is followed behind its address.
_NO_MORE_SECONDS, _PATIENCE_SECONDS = 45.0, 180.0


@dataclass(frozen=True)
class Effort:
    """How much is run.

    Attributes:
        lone_rounds: turns of each service with one caller.
        closed_rounds: likewise with several, each of `saturated_jobs` or `persons_jobs`.
        least_jobs: of a load, however long they take to come: of few, a single one would decide whether it is borne.
    """

    lone_rounds: int
    closed_rounds: int
    saturated_jobs: int
    capacity_jobs: int
    loads: Sequence[float]
    least_jobs: int
    mixed_seconds: float
    simulated_seconds: float
    grace_seconds: float
    persons_jobs: int
    edge_jobs: int
    cancel_waves: int
    kill_seconds: float
    alone_times: int
    warm_up_jobs: int


FULL = Effort(60, 5, 32, 48, LOADS, 60, 30.0, 20.0, 30.0, 24, 1200, 4, 6.0, 3, 24)
QUICK = Effort(1, 1, 4, 4, (SHOWN_LOAD,), 2, 3.0, 2.0, 20.0, 4, 8, 1, 2.0, 1, 2)


@dataclass(frozen=True)
class Reference:
    """What all services are asked for and judged by, measured with ours.

    Attributes:
        capacity: jobs a second.
        slo_seconds: by steps.
    """

    capacity: float
    slo_seconds: Mapping[int, float]


@dataclass(frozen=True)
class Running:
    """A service that is ready, and its callers.

    Attributes:
        service: which one.
        process: all of it.
        callers: of it.
        idle_cores: what it uses while nobody asks, as it waits busily; learnt by the first `settle`.
    """

    service: Service
    process: ServiceProcess
    callers: Callers
    idle_cores: list[float] = field(default_factory=list[float])


Values = Mapping[str, Sequence[float]]


async def warm_up(running: Running, effort: Effort) -> None:
    """Short jobs of several callers, then of one: BentoML's batching learns from them how long they take and wait."""
    num_jobs = effort.warm_up_jobs
    await running.callers.one_by_one(jobs(_WARM_UP, num_jobs, STEPS[0]), 8)
    await running.callers.one_by_one(jobs(_WARM_UP + num_jobs, num_jobs, STEPS[0]), 1)


async def reference(running: Running, effort: Effort, num_callers: int, num_jobs: int) -> Reference:
    """Measure our capacity for mixed steps, and how long jobs take that are alone."""
    slo_seconds, first = {}, _REFERENCE
    for steps in STEPS:
        alone = await running.callers.one_by_one(jobs(first, effort.alone_times, steps), 1)
        _check(alone)
        slo_seconds[steps] = SLO_FACTOR * float(np.median([record.seconds for record in alone]))
        first += effort.alone_times
    begin = running.callers.now()
    done = await running.callers.one_by_one(mixed(first, num_jobs), num_callers)
    _check(done)
    capacity = num_jobs / (running.callers.now() - begin)
    return Reference(capacity, slo_seconds)


async def lone(running: Running, _: Effort, turn: int) -> Values:
    """One caller, and one job a turn."""
    record = await running.callers.call(job(_LONE + turn, STEPS[-1]))
    _check([record])
    return {"seconds": [record.seconds]}


async def saturated(running: Running, effort: Effort, turn: int) -> Values:
    """16 callers."""
    num_jobs = effort.saturated_jobs
    return await _closed_loop(running, jobs(_SATURATED + turn * num_jobs, num_jobs, _STEPS), 16)


async def persons(running: Running, effort: Effort, turn: int) -> Values:
    """One photo, many poses."""
    num_jobs = effort.persons_jobs
    return await _closed_loop(running, jobs(_PERSON + turn * num_jobs, num_jobs, _STEPS, person=_PERSON), 4)


async def edge(running: Running, effort: Effort) -> Values:
    """16 callers of a device that takes no time: what is left is HTTP, codecs and books."""
    return await _closed_loop(running, jobs(_EDGE, effort.edge_jobs, STEPS[0]), 16)


async def in_the_open(running: Running, known: Reference, effort: Effort, seconds: float) -> Values:
    """Mixed steps, whatever became of the jobs before, at one load after the other, up to the first that is not borne.

    What a service can't bear leaves it with jobs that nobody waits for, and a higher load would begin behind them.
    """
    by_load, first = dict[float, Sequence[Record]](), _MIXED
    for load in effort.loads:
        await settle(running)
        rate = load * known.capacity
        stream = poisson(first, rate, max(seconds, effort.least_jobs / rate))
        by_load[load] = await running.callers.when_due(stream, effort.grace_seconds)
        first += len(stream)
        if _in_time(by_load[load], known) < IN_TIME_SHARE:
            break
    return judged(by_load, known)


def judged(by_load: Mapping[float, Sequence[Record]], known: Reference) -> Values:
    """What share was in time at each load, quantiles of the shown load's jobs that ended well, and the goodput."""
    values, shares = dict[str, Sequence[float]](), dict[float, float]()
    for load, records in by_load.items():
        shares[load] = _in_time(records, known)
        values[in_time_key(load)] = [shares[load]]
        good = [record.seconds for record in records if record.outcome == "succeeded"]
        if good and load == SHOWN_LOAD:
            p50, p95 = np.quantile(good, (0.5, 0.95))
            values |= {"p50": [float(p50)], "p95": [float(p95)]}
    return values | {"goodput": [known.capacity * borne_load(shares)]}


def _in_time(records: Sequence[Record], known: Reference) -> float:
    """The share of jobs that ended well within the time for their steps."""
    good = (record for record in records if record.outcome == "succeeded")
    return sum(record.seconds <= known.slo_seconds[record.steps] for record in good) / len(records)


def in_time_key(load: float) -> str:
    """Of a `Finding`'s values."""
    return f"in_time_{load:g}"


def borne_load(shares: Mapping[float, float]) -> float:
    """The highest load at which IN_TIME_SHARE is in time, on straight lines between those that were tried.

    Args:
        shares: in time, by load, in ascending order. Nobody comes at a load of 0, and all of them are in time; above
            the highest one nothing is known, so that this is the most that comes out.
    """
    before, share_before = 0.0, 1.0
    for load, share in shares.items():
        if share < IN_TIME_SHARE:
            return before + (load - before) * (share_before - IN_TIME_SHARE) / (share_before - share)
        before, share_before = load, share
    return before


async def cancels(running: Running, effort: Effort) -> Values:
    """Ten jobs at one time, all of which are waited for; then ten, of which four are hung up on; again and again."""
    callers, numbers, random = running.callers, count(_CANCELS), Random(2)
    stayed, wasted = list[Record](), list[float]()

    async def wave(patience: Sequence[float | None]) -> tuple[list[Record], float]:
        """What became of so many jobs, and the CPU time that they took, without what the service uses as it waits."""
        before, begin = _cpu_seconds(running.process), callers.now()
        records = await asyncio.gather(*(callers.call(job(next(numbers), _STEPS), patience=each) for each in patience))
        await settle(running)
        used = _cpu_seconds(running.process) - before - min(running.idle_cores) * (callers.now() - begin)
        return list(records), used

    await settle(running)
    for _ in range(effort.cancel_waves):
        records, used = await wave([None] * 10)
        _check(records)
        cpu_of_a_picture = used / len(records)
        wave_seconds = max(record.seconds for record in records)
        patience: list[float | None] = [None] * 6
        patience += [random.uniform(0.05, 0.7) * wave_seconds for _ in range(4)]
        random.shuffle(patience)
        records, used = await wave(patience)
        num_pictures = sum(record.outcome == "succeeded" for record in records)
        wasted.append(1 - num_pictures * cpu_of_a_picture / used)
        stayed += [record for record in records if record.kind == "wait"]
    _check(stayed)
    return {"p50": [float(np.median([record.seconds for record in stayed]))], "wasted": wasted}


async def kill(running: Running, effort: Effort) -> Values:
    """Kill the process with the model under load, restart what ends, and look when pictures come again."""
    callers, process = running.callers, running.process
    killed_at = over_at = float("inf")

    def is_over(records: Sequence[Record]) -> bool:
        nonlocal over_at
        now = callers.now()
        later = [r for r in records if r.outcome == "succeeded" and r.sent > killed_at]
        if now > killed_at + _NO_MORE_SECONDS or (now > killed_at + effort.kill_seconds and len(later) >= 8):
            over_at = min(over_at, now)
        return over_at <= now

    async def strike() -> None:
        nonlocal killed_at
        await asyncio.sleep(effort.kill_seconds)
        number = await asyncio.to_thread(running.service.model_process, process)
        os.kill(number, signal.SIGKILL)
        killed_at = callers.now()
        while True:
            process.keep_running()
            await asyncio.sleep(_LOOK_SECONDS)

    async with asyncio.TaskGroup() as group:
        striking = group.create_task(strike())
        records = await callers.endlessly(
            (job(number, _STEPS) for number in count(_KILL)), 8, _PATIENCE_SECONDS, is_over
        )
        striking.cancel()
    return {**after_a_kill(records, killed_at, over_at), "restarts": [float(process.num_restarts)]}


def after_a_kill(records: Sequence[Record], killed_at: float, over_at: float) -> Values:
    """What became of the jobs that were in flight at a time, and of those that were asked for after it.

    Args:
        records: of all calls.
        killed_at: on the clock of the records, s.
        over_at: from then on nobody asked anew. A pause that lasts then ends with the next picture, if there is one;
            later ones may be few and far between, as fewer and fewer callers wait.
    """
    in_flight = [record for record in records if record.sent < killed_at < record.ended]
    later = [record for record in records if record.sent >= killed_at]
    ended = sorted(r.ended for r in records if r.outcome == "succeeded" and r.ended > killed_at)
    moments = [killed_at, *(each for each in ended if each < over_at)]
    moments.append(next((each for each in ended if each >= over_at), over_at))
    return {
        "in_flight": [float(len(in_flight))],
        "lost": [float(sum(record.outcome != "succeeded" for record in in_flight))],
        "failed_later": [float(sum(record.outcome != "succeeded" for record in later))],
        "pause": [float(np.diff(moments).max())],
    }


async def settle(running: Running) -> float:
    """Wait until a service has nothing to do any more; returns the cores that it uses then."""
    give_up_at = asyncio.get_running_loop().time() + _SETTLE_SECONDS
    enough = _IDLE_CORES + min(running.idle_cores, default=0.0)
    while True:
        before = _cpu_seconds(running.process)
        await asyncio.sleep(1.0)
        cores = max(0.0, _cpu_seconds(running.process) - before)
        if cores < enough or asyncio.get_running_loop().time() > give_up_at:
            running.idle_cores.append(cores)
            return cores


async def _closed_loop(running: Running, asked: Sequence, num_callers: int) -> Values:
    begin = running.callers.now()
    records = await running.callers.one_by_one(asked, num_callers)
    seconds = running.callers.now() - begin
    _check(records)
    return {"rate": [len(records) / seconds], "p50": [float(np.median([record.seconds for record in records]))]}


def _check(records: Sequence[Record]) -> None:
    for record in records:
        if record.outcome != "succeeded":
            raise BrokenRunError(f"a job came to nothing: {record.outcome} {record.code}")


def _cpu_seconds(process: ServiceProcess) -> float:
    return sum(process.cpu_seconds().values())
