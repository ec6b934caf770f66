"""The real scheduler in front of a device in virtual time, with one queue from which it claims in order of arrival.

It knows no policy by name: `benchmarks.policies.comparison` does.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.policies.stream import StreamJob
from service.domain.capacity import StepCurve
from service.domain.execution import Execution
from service.domain.stage import Stage
from service.scheduling.actions import RunBatch
from service.scheduling.events import BatchFinished, JobArrived
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler

_STEPS = (Stage.DENOISE, Stage.SAMPLE)


@dataclass
class Occupancy:
    """Who is where at one moment.

    Attributes:
        waiting: jobs in the queue, in order of arrival.
        running: claimed jobs that have not ended, by number.
    """

    waiting: deque[StreamJob] = field(default_factory=deque[StreamJob])
    running: dict[int, StreamJob] = field(default_factory=dict[int, StreamJob])


@dataclass(frozen=True)
class Device:
    """What it takes to run a batch.

    Attributes:
        curve: time of a step.
        stage_seconds: time of a row of another stage, by its name; none is no time.
    """

    curve: StepCurve
    stage_seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def seconds(self, batch: RunBatch, num_steps: int) -> float:
        """Time of a batch; num_steps is that of its first job."""
        if batch.stage in _STEPS:
            return (num_steps if batch.stage is Stage.SAMPLE else 1) * self.curve.seconds(len(batch.rows))
        return self.stage_seconds.get(batch.stage, 0.0) * len(batch.rows)


def _ignore_arrival(_job: StreamJob, _occupancy: Occupancy) -> None:
    """Nobody asks."""


def _ignore_end(_job: StreamJob, _spent: float) -> None:
    """Nobody asks."""


def serve(
    jobs: Sequence[StreamJob],
    device: Device,
    policy: BatchPolicy,
    execution: Execution,
    *,
    on_arrival: Callable[[StreamJob, Occupancy], None] = _ignore_arrival,
    on_end: Callable[[StreamJob, float], None] = _ignore_end,
) -> Sequence[float]:
    """Run the stream to its end.

    Args:
        jobs: in order of arrival.
        device: how long batches take.
        policy: of the scheduler.
        execution: of the scheduler.
        on_arrival: told of each job, and who was there before it.
        on_end: told of each job that has ended, and its seconds from arrival to end.

    Returns:
        Each job's seconds from arrival to end, in order of arrival.
    """
    scheduler = Scheduler(policy, execution)
    coming = deque(jobs)
    occupancy = Occupancy()
    skipped = frozenset(
        stage for stage in (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE) if stage not in device.stage_seconds
    )
    spent = [0.0] * len(jobs)
    now = 0.0
    while coming or occupancy.waiting or not scheduler.is_idle:
        if scheduler.is_idle and not occupancy.waiting:
            now = max(now, coming[0].arrival)
            _queue_arrivals(coming, occupancy, now, on_arrival)
        while occupancy.waiting and scheduler.free_slots():
            job = occupancy.waiting.popleft()
            occupancy.running[job.number] = job
            scheduler.handle(JobArrived(str(job.number), job.num_steps, skipped), now)
        for action in scheduler.next_actions(now):
            if isinstance(action, RunBatch):
                now += device.seconds(action, occupancy.running[int(action.rows[0].job_id)].num_steps)
                # Who came meanwhile has seen the batch run.
                _queue_arrivals(coming, occupancy, now, on_arrival)
                scheduler.handle(BatchFinished(action.batch_id), now)
            else:
                job = occupancy.running.pop(int(action.job_id))
                spent[job.number] = now - job.arrival
                on_end(job, spent[job.number])
    return spent


def _queue_arrivals(
    coming: deque[StreamJob], occupancy: Occupancy, now: float, on_arrival: Callable[[StreamJob, Occupancy], None]
) -> None:
    while coming and coming[0].arrival <= now:
        job = coming.popleft()
        on_arrival(job, occupancy)
        occupancy.waiting.append(job)
