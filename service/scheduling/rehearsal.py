"""The real scheduler in virtual time: workers that claim from one queue in order of arrival, and how long jobs take.

What comes in, and what is made of the times, is the caller's.
"""

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from service.domain.capacity import StepCurve
from service.domain.execution import Execution
from service.domain.stage import Stage
from service.scheduling.actions import RunBatch
from service.scheduling.events import BatchFinished, JobArrived
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler


@dataclass(frozen=True)
class RehearsedJob:
    """One that comes.

    Attributes:
        number: 0, 1, .. in order of arrival.
        arrival: virtual seconds.
        num_steps: denoising steps.
        skipped: stages whose vectors are known.
        is_low: its steps are computed in low precision.
    """

    number: int
    arrival: float
    num_steps: int
    skipped: frozenset[Stage] = frozenset()
    is_low: bool = False


@dataclass
class Occupancy:
    """Who is where at one moment.

    Attributes:
        waiting: jobs in the queue, in order of arrival.
        running: claimed jobs that have not ended, by number.
    """

    waiting: deque[RehearsedJob] = field(default_factory=deque[RehearsedJob])
    running: dict[int, RehearsedJob] = field(default_factory=dict[int, RehearsedJob])


@dataclass(frozen=True)
class Device:
    """What it takes to run a batch.

    Attributes:
        curve: time of a step.
        stage_seconds: time of a row of another stage, by its name; none is no time.
        low_step_ratio: time of a step in low precision over that of another one of as many rows.
    """

    curve: StepCurve
    stage_seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    low_step_ratio: float = 1.0

    def seconds(self, batch: RunBatch, num_steps: int) -> float:
        """Time of a batch; num_steps is that of its first job."""
        rows = len(batch.rows)
        if batch.stage is Stage.SAMPLE:
            return self.curve.call_seconds + num_steps * self.curve.network_seconds(rows)
        if batch.stage is Stage.DENOISE:
            return self.curve.seconds(rows)
        if batch.stage is Stage.DENOISE_LOW:
            return self.curve.seconds(rows) * self.low_step_ratio
        return self.stage_seconds.get(batch.stage, 0.0) * rows


def _ignore_arrival(_job: RehearsedJob, _occupancy: Occupancy) -> None:
    """Nobody asks."""


def _ignore_end(_job: RehearsedJob, _spent: float) -> None:
    """Nobody asks."""


def rehearse(
    jobs: Sequence[RehearsedJob],
    device: Device,
    policy: BatchPolicy,
    execution: Execution,
    num_workers: int = 1,
    *,
    on_arrival: Callable[[RehearsedJob, Occupancy], None] = _ignore_arrival,
    on_end: Callable[[RehearsedJob, float], None] = _ignore_end,
) -> Sequence[float]:
    """Run the jobs to their end.

    Args:
        jobs: in order of arrival.
        device: how long batches take, at each worker.
        policy: of each worker's scheduler.
        execution: likewise.
        num_workers: >= 1.
        on_arrival: told of each job, and who was there before it.
        on_end: told of each job that has ended, and its seconds from arrival to end.

    Returns:
        Each job's seconds from arrival to end, in order of arrival.
    """
    unmade = frozenset(stage for stage in (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE) if stage not in device.stage_seconds)
    occupancy, spent = Occupancy(), [0.0] * len(jobs)

    def end(job: RehearsedJob, now: float) -> None:
        spent[job.number] = now - job.arrival
        on_end(job, spent[job.number])

    workers = [_Worker(Scheduler(policy, execution), device, occupancy, unmade, end) for _ in range(num_workers)]
    coming, busy = deque(jobs), list[tuple[float, int]]()
    while coming or busy:
        free_at, number = busy[0] if busy else (float("inf"), -1)
        if coming and coming[0].arrival <= free_at:
            now = coming[0].arrival
            while coming and coming[0].arrival == now:
                on_arrival(coming[0], occupancy)
                occupancy.waiting.append(coming.popleft())
            turns = [number for number, worker in enumerate(workers) if worker.batch is None]
        else:
            heapq.heappop(busy)
            now, turns = free_at, [number]
        for number in turns:
            seconds = workers[number].turn(now)
            if seconds is not None:
                heapq.heappush(busy, (now + seconds, number))
    return spent


@dataclass
class _Worker:
    """One of them.

    Attributes:
        batch: what it runs; None while it has nothing to do.
    """

    scheduler: Scheduler
    device: Device
    occupancy: Occupancy
    unmade: frozenset[Stage]
    end: Callable[[RehearsedJob, float], None]
    batch: RunBatch | None = None

    def turn(self, now: float) -> float | None:
        """End its batch, claim what there is room for, and run the next one: its seconds; None if there is none."""
        if self.batch:
            self.scheduler.handle(BatchFinished(self.batch.batch_id), now)
            self.batch = None
        while True:
            self._claim(now)
            actions = self.scheduler.next_actions(now)
            if not actions:
                return None
            for action in actions:
                if isinstance(action, RunBatch):
                    self.batch = action
                    first = self.occupancy.running[int(action.rows[0].job_id)]
                    return self.device.seconds(action, first.num_steps)
                self.end(self.occupancy.running.pop(int(action.job_id)), now)

    def _claim(self, now: float) -> None:
        waiting = self.occupancy.waiting
        while waiting and self.scheduler.free_slots():
            job = waiting.popleft()
            self.occupancy.running[job.number] = job
            arrival = JobArrived(str(job.number), job.num_steps, self.unmade | job.skipped, is_low=job.is_low)
            self.scheduler.handle(arrival, now)
