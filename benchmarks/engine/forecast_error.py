"""B16: how jobs end against what was forecast at their submission, at the same load and traffic as B7."""

import asyncio
from collections.abc import Sequence

import numpy as np

from benchmarks.engine.client import Ended
from benchmarks.engine.curves import CURVES, stepwise_settings
from benchmarks.engine.mixed_latency import served
from benchmarks.figures import BrokenRunError, Figure, Target
from benchmarks.turns import Report

# The forecasts learn from those before: the first ones know nothing.
_FULL_JOBS, _QUICK_JOBS = (400, 1500), (5, 20)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    num_warm_up, num_jobs = _QUICK_JOBS if is_quick else _FULL_JOBS
    curve = CURVES["S"]
    report(f"{num_warm_up + num_jobs} jobs")
    ended = asyncio.run(served(curve, stepwise_settings(curve), num_warm_up + num_jobs))[num_warm_up:]
    return _figures(ended)


def _figures(ended: Sequence[Ended]) -> list[Figure]:
    """Shares of jobs, and the error of p50 in parts of it.

    Raises:
        BrokenRunError: a job had no forecast.
    """
    seconds, p50, p90 = np.array([_times(job) for job in ended]).T
    early, very_early = float((seconds <= p50).mean()), float((seconds <= p90).mean())
    error = float(np.median(np.abs(p50 - seconds) / seconds))
    return [
        Figure("share of jobs that end before p50", [early], target=Target(0.4, "at least")),
        Figure("share of jobs that end after p50", [1 - early], target=Target(0.4, "at least")),
        Figure("share of jobs that end before p90", [very_early], target=Target(0.85, "at least")),
        Figure("share of jobs that end after p90", [1 - very_early], target=Target(0.05, "at least")),
        Figure("median error of p50, in parts of the time taken", [error], target=Target(0.25, "at most")),
    ]


def _times(job: Ended) -> tuple[float, float, float]:
    if job.eta is None:
        raise BrokenRunError(f"{job.job.id} had no forecast")
    return job.seconds, job.eta.p50_seconds, job.eta.p90_seconds
