"""Which stage runs next and with which rows.

It keeps no state and forms no batch: `service.scheduling.scheduler` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from service.domain.stage import Stage
from service.scheduling.progress import JobProgress

# Decode first: it frees a slot. Then admit, the earliest stage first, so that late-comers catch up and share the
# stages after it. Only then step, or loop: each is as full as the jobs in flight allow.
STAGE_PRIORITY = (Stage.DECODE, Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION, Stage.DENOISE, Stage.SAMPLE)


@dataclass(frozen=True)
class BatchPolicy:
    """The bounds of one scheduler.

    Attributes:
        max_batch: most rows of one batch, >= 1.
        max_slots: most jobs in flight, >= 1; below max_batch no batch can fill.
        max_attempts: failures of a job alone, since it last came forward, that end it, >= 1.

    Raises:
        ValueError: a value is below 1.
    """

    max_batch: int = 8
    max_slots: int = 8
    max_attempts: int = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise ValueError(f"{field.name} is {value}, must be at least 1")


def workable_jobs(jobs: Iterable[JobProgress], max_slots: int) -> Sequence[JobProgress]:
    """The jobs that may be in the next batch.

    A suspect waits until the others have left, and then keeps the device until it ends. Of more than max_slots jobs,
    the shell's mistake, the later ones wait until earlier ones have left.

    Args:
        jobs: all jobs in flight, in order of arrival.
        max_slots: jobs at work at one time.
    """
    jobs = list(jobs)
    suspects = [job for job in jobs if job.is_suspect]
    started = [job for job in suspects if job.is_started]
    others = [job for job in jobs if not job.is_suspect]
    return started[:1] or others[:max_slots] or suspects[:1]


def choose_jobs(jobs: Sequence[JobProgress], limits: Mapping[Stage, int]) -> Sequence[JobProgress]:
    """The jobs of the next batch: one stage, and the one that was served longest ago is always among them.

    A finished batch moves its jobs to the end of the rotation, a failed one leaves them where they are. So a workable
    job sees at most 3 * (max_slots - 1 + d) batches of others finish before its own turn, where d jobs leave during
    that time: by the priorities above each other job gets at most three rows in first (its admission, or a step and
    a decode), and so does each newcomer in the slot of a job that left. If jobs leave only by ending well, that is
    5 * (max_slots - 1) batches.

    A batch of whole loops holds one number of steps, that of the job that was served longest ago. A late-comer with
    that number shares it and so passes those who have waited longer for another. The bound is then
    4 * (max_slots - 1 + d): each other job gets its loop and its decode in first or, if it was company in a loop, its
    admission and its decode, and so does each newcomer. If jobs leave only by ending well, that is
    (max_slots - 1) * (2 * max_slots + 1) batches; at most max_slots - 1 of them are loops, because each of these begins
    with another job that was served earlier.

    Args:
        jobs: the workable jobs, in order of arrival; at least one.
        limits: most rows of a batch, by stage.
    """
    waiting = {job.stage for job in jobs}
    stage = next(stage for stage in STAGE_PRIORITY if stage in waiting)
    ready = sorted((job for job in jobs if job.stage is stage), key=lambda job: job.served)
    first = ready[0]
    if first.must_run_alone:
        return [first]
    company = [job for job in ready if not job.must_run_alone]
    if stage is Stage.SAMPLE:
        company = [job for job in company if job.num_steps == first.num_steps]
    return company[: limits[stage]]
