"""B6: what a worker does with mixed steps while jobs wait, against all slots always full.

The queue is filled first; row-steps are counted by the worker's own metric while enough jobs still wait.
"""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.engine.client import Client, client_of
from benchmarks.engine.curves import CURVES, full_rate, stepwise_settings
from benchmarks.engine.deployment import Part, deployed
from benchmarks.engine.traffic import fill, mixed_steps
from benchmarks.figures import Figure, Target
from benchmarks.policies.stream import NUM_ROWS
from benchmarks.turns import Report
from service.domain.capacity import StepCurve

_MIN_SHARE = Target(0.95, "at least")
# Fewer waiting jobs could leave a slot empty.
_MIN_WAITING = 2 * NUM_ROWS


@dataclass(frozen=True)
class _Effort:
    """How much is run: jobs, and seconds of one value, by curve."""

    num_jobs: dict[str, int]
    window_seconds: dict[str, float]


_FULL = _Effort({"S": 1500, "L": 700}, {"S": 4.0, "L": 15.0})
_QUICK = _Effort({"S": 96}, {"S": 0.3})


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    figures: list[Figure] = []
    for name, num_jobs in effort.num_jobs.items():
        curve = CURVES[name]
        rates = asyncio.run(_rates(curve, num_jobs, effort.window_seconds[name], report))
        figures += [
            Figure(
                f"capacity / all slots full, curve {name}",
                [rate / full_rate(curve) for rate in rates],
                target=_MIN_SHARE,
            ),
            Figure(f"row-steps a second, curve {name}", rates),
        ]
    return figures


async def _rates(curve: StepCurve, num_jobs: int, window_seconds: float, report: Report) -> list[float]:
    """Row-steps a second, window by window."""
    with deployed(stepwise_settings(curve)) as deployment:
        async with client_of(deployment) as client:
            await fill(client, mixed_steps(num_jobs))
            report(f"{num_jobs} jobs wait")
            worker = deployment.start_worker()
            # Until the first jobs have left, all have come at one time.
            await client.wait_until(lambda stats: stats.queued < num_jobs - 2 * NUM_ROWS)
            return await _windows(worker, client, window_seconds, report)


async def _windows(worker: Part, client: Client, seconds: float, report: Report) -> list[float]:
    rates: list[float] = []
    before = _row_steps(worker)
    while True:
        await asyncio.sleep(seconds)
        after = _row_steps(worker)
        stats = await client.intake.stats()
        if stats.queued < _MIN_WAITING and rates:
            return rates
        rates.append((after[1] - before[1]) / (after[0] - before[0]))
        report(f"{rates[-1]:.0f} row-steps a second, {stats.queued} jobs wait")
        before = after


def _row_steps(worker: Part) -> tuple[float, float]:
    """Monotonic seconds, and the row-steps done by then."""
    done = worker.metric("xmdpt_steps_total")
    return time.monotonic(), done
