"""Batchers as others have them: whole jobs in batches, taken from the front of one queue.

Small models of their own: no scheduler of ours is in here.
"""

from collections.abc import Callable, Sequence

from benchmarks.policies.stream import NUM_ROWS
from service.domain.capacity import StepCurve
from service.scheduling.rehearsal import RehearsedJob

Front = Sequence[RehearsedJob]
Batcher = Callable[[Front], Front]


def one_by_one(waiting: Front) -> Front:
    """The first job alone."""
    return waiting[:1]


def cut(waiting: Front) -> Front:
    """As Triton's dynamic batcher: the jobs at the front up to the first one of another shape."""
    num_equal = next((i for i, job in enumerate(waiting) if job.num_steps != waiting[0].num_steps), len(waiting))
    return waiting[: min(num_equal, NUM_ROWS)]


def pad(waiting: Front) -> Front:
    """The jobs at the front, whatever their lengths: all of them last as long as the longest."""
    return waiting[:NUM_ROWS]


def serve(jobs: Front, curve: StepCurve, take: Batcher) -> Sequence[float]:
    """Each job's seconds from arrival to end, in order of arrival; a batch begins as soon as the device is free."""
    spent: list[float] = []
    now = 0.0
    while len(spent) < len(jobs):
        now = max(now, jobs[len(spent)].arrival)
        window = jobs[len(spent) : len(spent) + NUM_ROWS]
        batch = take([job for job in window if job.arrival <= now])
        now += max(job.num_steps for job in batch) * curve.seconds(len(batch))
        spent += [now - job.arrival for job in batch]
    return spent
