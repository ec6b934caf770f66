"""Which stage runs next and with which rows.

It keeps no state and forms no batch: `service.scheduling.scheduler` does.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.domain.job import Priority
from service.domain.stage import Stage
from service.scheduling.progress import DECODES, STEPS, JobProgress

# Decode first: it frees a slot. Then admit, the earliest stage first, so that late-comers catch up and share the
# stages after it. Only then step, or loop: each is as full as the jobs in flight allow. Steps and loops take turns: the
# one that is due has the job that ranks first among all of them.
STAGE_PRIORITY = (Stage.DECODE, Stage.DECODE_LOW, Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION)

# Jobs of the class BATCH end one by one between the steps of an interactive job, and each decode holds that up: so many
# share one. Fewer would not do for long what the two slots beyond the rows of a step do, to keep those rows taken.
DECODES_TOGETHER = 3
# As if it had been served so much later, a job of the class BATCH lets those of INTERACTIVE pass for ten batches: two
# whole loops with their decodes and admissions. How many of each class a worker holds is up to the queue's claim.
BATCH_CLASS_LAG = 10
# Shortest first: so many batches of waiting weigh as much as one step less to do. Less patience is nearer to first
# come, first served: with eight slots and a load of 0.9 the median is 6.4 times an unloaded job at 4, and 2.4 times at
# 16. More of it lets the longest jobs wait for little gain: 99 of 100 end within 41 times instead of 39, and the bound
# grows with it. The class BATCH counts three times as long.
PATIENCE = {Priority.INTERACTIVE: 16, Priority.BATCH: 48}


@dataclass(frozen=True)
class BatchPolicy:
    """The bounds of one scheduler, and its order.

    Attributes:
        max_batch: most rows of one batch, >= 1.
        max_slots: most jobs in flight, >= 1; below max_batch no batch can fill.
        max_attempts: failures of a job alone, since it last came forward, that end it, >= 1.
        is_shortest_first: the jobs with the fewest steps left go first, not those that were served longest ago; for
            a device on which batching brings little.
        max_low_batch: likewise most rows in low precision, if these are fewer; None: max_batch.

    Raises:
        ValueError: a number is below 1.
    """

    max_batch: int = 8
    max_slots: int = 8
    max_attempts: int = 3
    is_shortest_first: bool = False
    max_low_batch: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_slots", "max_attempts", "max_low_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")


def workable_jobs(jobs: Iterable[JobProgress], max_slots: int) -> Sequence[JobProgress]:
    """The jobs that may be in the next batch.

    A suspect waits until the others have left, and then keeps the device until it ends. Of more than max_slots jobs,
    the shell's mistake, the later ones wait until earlier ones have left.

    Args:
        jobs: all jobs in flight, in order of arrival.
        max_slots: jobs at work at one time.
    """
    others, suspects = list[JobProgress](), list[JobProgress]()
    for job in jobs:
        (suspects if job.is_suspect else others).append(job)
    started = [job for job in suspects if job.is_started]
    return started[:1] or others[:max_slots] or suspects[:1]


def rank(job: JobProgress, is_shortest_first: bool) -> float:
    """Where the job stands among those of its stage: the lowest goes first. It changes only when the job is served.

    Args:
        job: any job in flight.
        is_shortest_first: as in `BatchPolicy`.

    Returns:
        An id of a batch: a job that arrives when that many batches have been begun does not go before this one.
    """
    if is_shortest_first:
        return job.arrived + job.position + PATIENCE[job.priority] * job.num_steps_left
    return job.served + (BATCH_CLASS_LAG if job.priority is Priority.BATCH else 0)


def _must_gather(decodes: Sequence[JobProgress], waiting: Mapping[Stage, Sequence[JobProgress]], limit: int) -> bool:
    """Whether the decodes of one precision that wait are put off until more are there.

    So it is while they are few, all of the class BATCH, and a step of an interactive job ranks before them all.

    Args:
        decodes: the jobs that wait for one.
        waiting: the workable jobs by stage.
        limit: most rows of a decode.
    """
    if len(decodes) >= min(DECODES_TOGETHER, limit) or any(job.priority is not Priority.BATCH for job in decodes):
        return False
    steps = [job.served for stage in STEPS for job in waiting.get(stage, ()) if job.priority is Priority.INTERACTIVE]
    return bool(decodes and steps) and min(steps) < min(rank(job, False) for job in decodes)


def choose_jobs(
    jobs: Sequence[JobProgress], limits: Mapping[Stage, int], *, is_shortest_first: bool = False
) -> Sequence[JobProgress]:
    """The jobs of the next batch: one stage, and the one of the lowest rank is always among them.

    A finished batch moves its jobs to the end of the rotation, a failed one leaves them where they are. So a workable
    job sees at most 3 * (max_slots - 1 + d) batches of others finish before its own turn, where d jobs leave during
    that time: by the priorities above each other job gets at most three rows in first (its admission, or a step and
    a decode), and so does each newcomer in the slot of a job that left. If jobs leave only by ending well, that is
    5 * (max_slots - 1) batches. One of the class BATCH sees BATCH_CLASS_LAG more: ranks are ids of batches, so that
    after so many it has fallen behind nobody who is served anew. That holds for a decode that waits for others, too.

    A batch of whole loops holds one number of steps, that of the job that goes first. A late-comer with that number
    shares it and so passes those who have waited longer for another. The bound is then 4 * (max_slots - 1 + d): each
    other job gets its loop and its decode in first or, if it was company in a loop, its admission and its decode, and
    so does each newcomer. If jobs leave only by ending well, that is (max_slots - 1) * (2 * max_slots + 1) batches; at
    most max_slots - 1 of them are loops, because each of these begins with another job that was served earlier. The
    class BATCH sees BATCH_CLASS_LAG more, of either.

    Where the shortest goes first, a job that needs s more steps lets newcomers pass for PATIENCE * s batches; after
    that those who are still before it end, and their successors are admitted. That is at most
    PATIENCE * s + (max_slots - 1 + d) * (r + 3) batches, where no job takes more than r rows from arrival to end; d
    counts those, too, that come later and leave sooner as company in batches of others.

    Args:
        jobs: the workable jobs, in order of arrival; at least one.
        limits: most rows of a batch, by stage.
        is_shortest_first: as in `BatchPolicy`.
    """
    waiting = defaultdict[Stage, list[JobProgress]](list)
    for job in jobs:
        waiting[job.stage].append(job)
    put_off = {
        stage
        for stage in DECODES & waiting.keys()
        if not is_shortest_first and _must_gather(waiting[stage], waiting, limits[stage])
    }
    stage = next((stage for stage in STAGE_PRIORITY if stage in waiting and stage not in put_off), None)
    if stage is None:
        # Only steps and loops are left: the first of all of them says which.
        stage = min(jobs, key=lambda job: rank(job, is_shortest_first)).stage
    ready = sorted(waiting[stage], key=lambda job: rank(job, is_shortest_first))
    first = ready[0]
    if first.must_run_alone:
        return [first]
    company = [job for job in ready if not job.must_run_alone]
    if stage is Stage.SAMPLE:
        company = [job for job in company if job.num_steps == first.num_steps]
    return company[: limits[stage]]
