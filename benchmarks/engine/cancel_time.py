"""B17: how long a running job keeps its slot after it was cancelled, on the S curve, with all slots full."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.engine.client import Client, client_of
from benchmarks.engine.curves import CURVES, stepwise_settings
from benchmarks.engine.deployment import deployed
from benchmarks.engine.noted_worker import COMMAND, Notes, read_notes
from benchmarks.engine.traffic import fill
from benchmarks.figures import BrokenRunError, Figure, Target
from benchmarks.policies.stream import NUM_ROWS
from benchmarks.turns import Report
from service.domain.job import DEFAULT_TENANT, JobStatus

_MAX_STEPS = 250
_MAX_STEPS_LEFT = Target(1, "at most")
_PATIENCE_SECONDS = 30
# Of a round's jobs; the others end by themselves.
_NUM_CANCELLED = 12


@dataclass(frozen=True)
class Cancel:
    """One cancel: seconds of the monotonic clock when it was called, and from then to the job's end as read."""

    job_id: str
    called: float
    end_seconds: float


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    num_rounds = 1 if is_quick else 10
    with deployed(stepwise_settings(CURVES["S"])) as deployment:
        worker = deployment.start_worker(*COMMAND)

        async def cancel_all() -> list[list[Cancel]]:
            async with client_of(deployment) as client:
                return [await _round(client, number, report) for number in range(num_rounds)]

        rounds = asyncio.run(cancel_all())
        worker.stop()
        notes = read_notes(deployment.data)
    return cancel_figures(notes, rounds)


async def _round(client: Client, number: int, report: Report) -> list[Cancel]:
    """Fill all slots, then cancel one job after the other at random moments."""
    report(f"round {number + 1}")
    pauses = np.random.default_rng(number).uniform(0.05, 0.1, _NUM_CANCELLED).tolist()
    submitted = await fill(client, [_MAX_STEPS] * NUM_ROWS)
    await client.wait_until(lambda stats: stats.running == NUM_ROWS)
    cancels: list[Cancel] = []
    for pause, each in zip(pauses, submitted, strict=False):
        await asyncio.sleep(pause)
        called = time.monotonic()
        await client.jobs.cancel(each.job_id, DEFAULT_TENANT)
        job = await client.jobs.wait(each.job_id, DEFAULT_TENANT, _PATIENCE_SECONDS)
        if job.status is not JobStatus.CANCELLED:
            raise BrokenRunError(f"{job.id} was cancelled and is {job.status}")
        cancels.append(Cancel(job.id, called, time.monotonic() - called))
    for each in submitted[_NUM_CANCELLED:]:
        await client.jobs.cancel(each.job_id, DEFAULT_TENANT)
    await client.wait_until_empty()
    return cancels


def cancel_figures(notes: Notes, rounds: list[list[Cancel]]) -> list[Figure]:
    """Of cancels in rounds that each began with all slots full, one job after the other."""
    learned_at: dict[str, float] = {}
    for moment, job_id in notes.cancels:
        learned_at.setdefault(job_id, moment)
    learning, freeing, steps_begun, ending = [], [], [], []
    for cancels in rounds:
        for number, cancel in enumerate(cancels):
            learned = learned_at[cancel.job_id]
            later = [step for step in notes.steps if step.began > learned]
            # One job at a time is cancelled, so that rows tell whether its slot is free.
            rows_without = NUM_ROWS - number - 1
            begun = next(i for i, step in enumerate(later) if step.rows <= rows_without)
            learning.append(1000 * (learned - cancel.called))
            freeing.append(1000 * (later[begun].began - learned))
            steps_begun.append(float(begun))
            ending.append(1000 * cancel.end_seconds)
    return [
        Figure("steps begun with the job after the worker knew", steps_begun, "", _MAX_STEPS_LEFT),
        Figure("from the call until the worker knows", learning, "ms"),
        Figure("from then until its slot is free", freeing, "ms"),
        Figure("from the call until the client sees the job ended", ending, "ms"),
    ]
