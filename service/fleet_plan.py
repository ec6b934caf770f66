"""How many workers a load needs: the scheduler rehearsed in virtual time on a device that was measured.

It measures nothing and starts nothing; `service.plan_command` asks and prints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil
from random import Random
from statistics import mean, quantiles

from service.domain.capacity import Capacity, WorkerReport
from service.domain.stage import Stage
from service.scheduling.cost_model import work_seconds
from service.scheduling.policy import BatchPolicy
from service.scheduling.rehearsal import Device, RehearsedJob, rehearse

_SEED = 1
# While the queue fills from nothing, jobs wait less than they will.
_LEFT_OUT_SHARE = 0.1
# Fleets grow by this part until one is large enough, and then the smallest is looked for.
_GROWTH = 0.08
_ENCODED = frozenset({Stage.ENCODE_SOURCE, Stage.ENCODE_POSE})


@dataclass(frozen=True)
class Load:
    """What comes in.

    Attributes:
        jobs_per_second: at random times, > 0.
        num_steps: denoising steps of the jobs, in equal parts.
        known_share: of jobs whose person and pose have been seen before, 0..1: they run no encoder.
        num_jobs: that are rehearsed.
    """

    jobs_per_second: float
    num_steps: Sequence[int] = (50,)
    known_share: float = 0.0
    num_jobs: int = 4000


@dataclass(frozen=True)
class Fleet:
    """So many workers under the load.

    Attributes:
        num_workers: all alike.
        utilisation: share of their time at full batches that the load takes; from 1 on the queue grows without end.
        p50_seconds: from arrival to end; likewise p95 and p99.
        jobs_per_worker: mean number of jobs that wait or run, for each worker.
    """

    num_workers: int
    utilisation: float
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    jobs_per_worker: float


def alone_seconds(capacity: Capacity, load: Load) -> float:
    """How long a mean job takes if nobody else is there and its person has not been seen before."""
    return mean(_alone(capacity, steps) for steps in load.num_steps)


def fleets(
    capacity: Capacity, load: Load, p95_seconds: float, on_try: Callable[[Fleet], None] = lambda _: None
) -> Sequence[Fleet]:
    """Rehearse fleets until the smallest one is found that keeps the promise.

    Args:
        capacity: of each worker.
        load: of all.
        p95_seconds: nineteen of twenty jobs shall have ended within this.
        on_try: told of each fleet.

    Returns:
        All that were tried, by their size; the first that `keeps` the promise is enough.

    Raises:
        ValueError: no number of workers can: too many of the jobs take longer where each has a worker to itself.
    """
    jobs, work = _stream(load), load.jobs_per_second * _seconds_of_work(capacity, load)
    alone = _p95_alone(capacity, jobs)
    refusal = ValueError(f"p95 of jobs that are alone is {alone:.2f} s on this device: fewer steps, or a faster device")
    if alone > p95_seconds:
        raise refusal
    tried: dict[int, Fleet] = {}

    def is_enough(num_workers: int) -> bool:
        tried[num_workers] = _rehearsed(capacity, jobs, num_workers, work / num_workers, load.jobs_per_second)
        on_try(tried[num_workers])
        return keeps(tried[num_workers], p95_seconds)

    too_few, enough = max(1, ceil(work)) - 1, max(1, ceil(work))
    while not is_enough(enough):
        # With a worker for each job all are alone: no more workers make them faster.
        if enough >= max(len(jobs), work + 1):
            raise refusal
        too_few, enough = enough, enough + max(1, round(enough * _GROWTH))
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return [tried[size] for size in sorted(tried)]


def keeps(fleet: Fleet, p95_seconds: float) -> bool:
    """Whether it keeps the promise, now and for ever."""
    return fleet.p95_seconds <= p95_seconds and fleet.utilisation < 1


def _rehearsed(
    capacity: Capacity, jobs: Sequence[RehearsedJob], num_workers: int, utilisation: float, jobs_per_second: float
) -> Fleet:
    device = Device(capacity.curve, capacity.stage_seconds)
    spent = rehearse(jobs, device, _policy(capacity), capacity.execution, num_workers)
    settled = _settled(spent)
    cuts = _percentiles(settled)
    # Little's law: jobs that are there = jobs that come in a second x seconds that each of them stays.
    there = jobs_per_second * mean(settled)
    return Fleet(num_workers, utilisation, cuts[49], cuts[94], cuts[98], there / num_workers)


def _p95_alone(capacity: Capacity, jobs: Sequence[RehearsedJob]) -> float:
    """That of a fleet in which nobody shares a worker, which no larger one betters."""
    seconds = {kind: _alone(capacity, *kind) for kind in {(job.num_steps, job.skipped) for job in jobs}}
    return _percentiles(_settled([seconds[job.num_steps, job.skipped] for job in jobs]))[94]


def _alone(capacity: Capacity, num_steps: int, skipped: frozenset[Stage] = frozenset()) -> float:
    device = Device(capacity.curve, capacity.stage_seconds)
    (seconds,) = rehearse([RehearsedJob(0, 0.0, num_steps, skipped)], device, _policy(capacity), capacity.execution)
    return seconds


def _settled(spent: Sequence[float]) -> Sequence[float]:
    return spent[int(len(spent) * _LEFT_OUT_SHARE) :]


def _percentiles(spent: Sequence[float]) -> Sequence[float]:
    """The 99 of them, to the microsecond: the same seconds read off a later virtual clock differ in their last bits."""
    return [round(cut, 6) for cut in quantiles(spent, n=100, method="inclusive")]


def _seconds_of_work(capacity: Capacity, load: Load) -> float:
    """Device time of a mean job at full batches."""
    stages = {
        stage: seconds * (1 - load.known_share) if stage in _ENCODED else seconds
        for stage, seconds in capacity.stage_seconds.items()
    }
    worker = WorkerReport("", "", "", replace(capacity, stage_seconds=stages))
    seconds = work_seconds([worker], mean(load.num_steps), 1)
    assert seconds is not None, "there is a worker, and a job has steps"
    return seconds


def _policy(capacity: Capacity) -> BatchPolicy:
    return BatchPolicy(capacity.max_batch, capacity.num_slots, is_shortest_first=capacity.is_shortest_first)


def _stream(load: Load) -> Sequence[RehearsedJob]:
    random = Random(_SEED)
    arrivals = accumulate(random.expovariate(load.jobs_per_second) for _ in range(load.num_jobs))
    return [
        RehearsedJob(
            number,
            arrival,
            random.choice(load.num_steps),
            _ENCODED if random.random() < load.known_share else frozenset(),
        )
        for number, arrival in enumerate(arrivals)
    ]
