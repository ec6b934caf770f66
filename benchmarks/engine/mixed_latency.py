"""B7: how long jobs of mixed steps take when they share steps, against whole loops of equal steps, at the same load.

Both sides are the same service on the same queue with the same arrivals; one setting differs, and the number of slots.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.engine.client import Ended, client_of
from benchmarks.engine.curves import CURVES, bucketed_settings, stepwise_settings
from benchmarks.engine.deployment import deployed
from benchmarks.engine.traffic import offer
from benchmarks.figures import Figure, Target
from benchmarks.policies.stream import poisson_stream, unloaded_seconds
from benchmarks.turns import Report
from service.domain.capacity import StepCurve

LOAD = 0.7
"""Of the capacity with all slots full."""
SIDES = {"stepwise": stepwise_settings, "bucketed": bucketed_settings}
QUANTILES = {"p50": 0.5, "p95": 0.95}
_MIN_RATIO = {("S", "p50"): 2.0, ("S", "p95"): 1.5, ("L", "p50"): 2.0, ("L", "p95"): 1.3}


@dataclass(frozen=True)
class _Effort:
    """How much is run: jobs that count, by curve, and the share of as many that come before, to fill the worker."""

    num_jobs: dict[str, int]
    warm_up: float = 0.15


_FULL = _Effort({"S": 1500, "L": 700})
_QUICK = _Effort({"S": 8})


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    figures: list[Figure] = []
    for name, num_jobs in effort.num_jobs.items():
        curve = CURVES[name]
        num_warm_up = round(num_jobs * effort.warm_up)
        found: dict[str, dict[str, float]] = {}
        for side, settings_of in SIDES.items():
            report(f"curve {name}, {side}: {num_warm_up + num_jobs} jobs at load {LOAD}")
            ended = asyncio.run(served(curve, settings_of(curve), num_warm_up + num_jobs))[num_warm_up:]
            found[side] = _quantiles(ended, curve)
            report(", ".join(f"{quantile} {value:.2f}" for quantile, value in found[side].items()))
        figures += _figures(name, found)
    return figures


async def served(curve: StepCurve, settings: Mapping[str, str], num_jobs: int) -> list[Ended]:
    """Jobs of mixed steps that arrive at random at `LOAD`, as they ended."""
    stream = poisson_stream(curve, LOAD, num_jobs, seed=0)
    with deployed(settings) as deployment:
        deployment.start_worker()
        async with client_of(deployment) as client:
            return await offer(client, stream)


def _quantiles(ended: list[Ended], curve: StepCurve) -> dict[str, float]:
    """In units of a mean job that is alone."""
    unit = unloaded_seconds(curve)
    latencies = [job.seconds / unit for job in ended]
    return {name: float(np.quantile(latencies, share)) for name, share in QUANTILES.items()}


def _figures(curve: str, found: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    ratios = [
        Figure(
            f"bucketed / stepwise, {quantile}, curve {curve}",
            [found["bucketed"][quantile] / found["stepwise"][quantile]],
            target=Target(_MIN_RATIO[curve, quantile], "at least"),
        )
        for quantile in QUANTILES
    ]
    latencies = [
        Figure(latency_name(side, quantile, curve), [value], "mean lone jobs")
        for side, quantiles in found.items()
        for quantile, value in quantiles.items()
    ]
    return ratios + latencies


def latency_name(side: str, quantile: str, curve: str) -> str:
    """Of the figure that holds a quantile of one side."""
    return f"{side}, {quantile} at load {LOAD}, curve {curve}"
