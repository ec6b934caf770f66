"""B2: which share of the rate of matrix products the graph `sampler` reaches on a CPU, in float32 and one thread.

The rate that counts is that of one large product by the same runtime. Beside it stands that of the denoiser's own
products alone, in their shapes and with weights of their own: what the graph would take if all else cost nothing.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.figures import Figure, Target
from benchmarks.graphs import (
    label,
    plan_inputs,
    sampler_graph,
    some_condition,
    step_model,
    untrained,
)
from benchmarks.matrix_products import ProductsRun, denoiser_products, square
from benchmarks.turns import Report, take_turns
from export.flops import matrix_flops
from xmdpt.sampler import initial_noise, sampling_plan

_GUIDANCE = 2.0
_SAMPLER, _LARGE, _OWN = "sampler", "one large product", "the denoiser's products alone"
_MIN_SHARE = Target(0.95, "at least")


@dataclass(frozen=True)
class _Effort:
    """How much is run: steps of the sampler, and the side of the large matrices."""

    variant: str
    num_steps: int
    side: int
    num_rounds: int


_FULL = _Effort("s", num_steps=5, side=2048, num_rounds=15)
_QUICK = _Effort("tiny", num_steps=2, side=256, num_rounds=2)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    size = label(effort.variant)
    report(f"exporting step and sampler, {size}")
    networks = untrained(effort.variant)
    sampler, plan = sampler_graph(networks), plan_inputs(sampling_plan(effort.num_steps, _GUIDANCE))
    noise, condition = initial_noise(0)[None], some_condition(networks.variant)
    own = denoiser_products(networks.variant)
    large_run, own_run = ProductsRun(square(effort.side)), ProductsRun(own)
    flops = {
        _SAMPLER: effort.num_steps * matrix_flops(step_model(networks), batch_size=1),
        _LARGE: sum(product.flops for product in square(effort.side)),
        _OWN: sum(product.flops for product in own),
    }
    sides = {
        _SAMPLER: lambda: sampler(noise=noise, condition=condition, **plan),
        _LARGE: large_run,
        _OWN: own_run,
    }
    seconds = take_turns(sides, effort.num_rounds, report)
    rates = {name: flops[name] / 1e9 / np.array(taken) for name, taken in seconds.items()}
    return [
        Figure(f"sampler / {_LARGE}, GFLOP/s, {size}", list(rates[_SAMPLER] / rates[_LARGE]), target=_MIN_SHARE),
        Figure(f"sampler / {_OWN}, GFLOP/s, {size}", list(rates[_SAMPLER] / rates[_OWN])),
        *(Figure(f"{name}, {size}", list(rate), "GFLOP/s") for name, rate in rates.items()),
    ]
