"""The batch that a peer's user would find best on this computer's cores, as their documentations advise: by trying."""

import time

import numpy as np

from benchmarks.turns import Report
from loadtests.peers.pipeline import OnnxGraphs
from xmdpt.sampler import SamplingPlan
from xmdpt.spec import LATENT_SHAPE, VARIANTS

_SIZES = (1, 2, 4, 8)
# What a batch has to bring, as everybody in it waits for its end.
_MIN_GAIN = 1.2
_WIDTH = VARIANTS["demo"].width


def best_batch(report: Report, num_rounds: int = 7) -> int:
    """The size with the most rows a second, or 1 where that is not worth the waiting."""
    graphs = OnnxGraphs()
    seconds: dict[int, list[float]] = {size: [] for size in _SIZES}
    for _ in range(num_rounds):
        for size in _SIZES:
            seconds[size].append(_step_seconds(graphs, size))
    # What disturbs makes a call longer, never shorter.
    rates = {size: size / min(taken) for size, taken in seconds.items()}
    best = max(rates, key=lambda size: rates[size])
    chosen = best if rates[best] >= _MIN_GAIN * rates[1] else 1
    shown = ", ".join(f"{size}: {rate:.0f}" for size, rate in rates.items())
    report(f"rows a second by the size of a batch: {shown}; the peers' batches have up to {chosen}")
    return chosen


def _step_seconds(graphs: OnnxGraphs, size: int) -> float:
    latents = np.zeros((size, *LATENT_SHAPE), np.float32)
    condition = np.zeros((size, _WIDTH), np.float32)
    ones = np.ones(size, np.float32)
    plan = SamplingPlan(ones, ones, np.ones((size, 5), np.float32))
    begin = time.perf_counter()
    graphs.step(latents, latents, condition, plan)
    return time.perf_counter() - begin
