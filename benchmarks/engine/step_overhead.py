"""B13: what the engine adds to a denoising step, with a backend whose calls take no time.

Counted is what passes between the end of one step's call and the begin of the next one's: the device would be idle.
"""

import asyncio
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.engine.client import Client, client_of
from benchmarks.engine.curves import INSTANT, stepwise_settings
from benchmarks.engine.deployment import Part, deployed
from benchmarks.engine.noted_worker import COMMAND, Notes, read_notes
from benchmarks.engine.traffic import fill, mixed_steps, submission
from benchmarks.figures import Figure, Target
from benchmarks.policies.stream import NUM_ROWS
from benchmarks.turns import Report

_MAX_MS = Target(0.1, "at most")
_MAX_STEPS = 250
# A bottom, a middle and a top of what passes; the middle counts.
_QUANTILES = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True)
class _Effort:
    """How much is run: long jobs that fill all slots, long jobs alone, and jobs of mixed steps."""

    num_together: int
    num_alone: int
    num_mixed: int


_FULL = _Effort(num_together=20 * NUM_ROWS, num_alone=40, num_mixed=2000)
_QUICK = _Effort(num_together=4 * NUM_ROWS, num_alone=1, num_mixed=20)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    with deployed(stepwise_settings(INSTANT)) as deployment:
        worker = deployment.start_worker(*COMMAND)
        ready_at = time.monotonic()

        async def work() -> list[Figure]:
            async with client_of(deployment) as client:
                report(f"{effort.num_alone} jobs of {_MAX_STEPS} steps, one at a time")
                for number in range(effort.num_alone):
                    await client.make(submission(number, _MAX_STEPS))
                report(f"{effort.num_together} of them, {NUM_ROWS} at a time")
                with worker.paused():
                    await fill(client, [_MAX_STEPS] * effort.num_together)
                await client.wait_until_empty()
                report(f"{effort.num_mixed} jobs of mixed steps")
                return await _mixed(worker, client, effort.num_mixed)

        mixed = asyncio.run(work())
        worker.stop()
        notes = read_notes(deployment.data).since(ready_at)
    return [figure for rows in (NUM_ROWS, 1) for figure in between_steps(notes, rows)] + mixed


def between_steps(notes: Notes, rows: int) -> list[Figure]:
    """Quantiles over all pairs of steps of so many rows that followed each other."""
    pairs = [(a, b) for a, b in pairwise(notes.steps) if a.rows == b.rows == rows]
    wall = [1000 * (later.began - earlier.ended) for earlier, later in pairs]
    cpu = [1000 * (later.cpu_began - earlier.cpu_ended) for earlier, later in pairs]
    return [
        Figure(f"between two steps of {rows} rows", np.quantile(wall, _QUANTILES).tolist(), "ms", _MAX_MS),
        Figure(f"likewise, CPU time of the loop, {rows} rows", np.quantile(cpu, _QUANTILES).tolist(), "ms"),
    ]


async def _mixed(worker: Part, client: Client, num_jobs: int) -> list[Figure]:
    """What whole jobs cost the worker: claim, pixels, steps, picture file, commit."""
    cpu, started = worker.cpu_seconds, time.monotonic()
    await fill(client, mixed_steps(num_jobs))
    await client.wait_until_empty()
    seconds, cpu = time.monotonic() - started, worker.cpu_seconds - cpu
    return [
        Figure("jobs a second, mixed steps", [num_jobs / seconds]),
        Figure("CPU time of the worker for a job, mixed steps", [1000 * cpu / num_jobs], "ms"),
    ]
