"""B5: what the graph `sampler` adds to the steps that it runs, beside a loop over `tdnet_step` in Python.

At a size of the paper, where a step is long against any overhead, and at `demo`, where it is not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.figures import Figure, Target, ratios
from benchmarks.graphs import label, plan_inputs, sampler_graph, some_condition, step_graph, step_inputs, untrained
from benchmarks.turns import Report, take_turns
from xmdpt.nn.pipeline import Pipeline
from xmdpt.sampler import initial_noise, sampling_plan

_GUIDANCE = 2.0
_SAMPLER, _STEPS, _PYTHON = "sampler", "steps alone", "loop in Python"
_MAX_RATIO = Target(1.01, "at most")


@dataclass(frozen=True)
class _Effort:
    """How much is run: the steps of a run and how often, for each variant."""

    num_steps: dict[str, int]
    num_rounds: dict[str, int]


_FULL = _Effort(num_steps={"s": 10, "demo": 50}, num_rounds={"s": 15, "demo": 25})
_QUICK = _Effort(num_steps={"tiny": 2}, num_rounds={"tiny": 2})


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort, figures = _QUICK if is_quick else _FULL, []
    for name, num_steps in effort.num_steps.items():
        report(f"exporting step and sampler, {label(name)}")
        sides = _sides(untrained(name), num_steps)
        seconds = take_turns(sides, effort.num_rounds[name], report)
        size = label(name)
        figures += [
            Figure(
                f"sampler / ({num_steps} x step), {size}",
                ratios(seconds[_SAMPLER], seconds[_STEPS]),
                target=_MAX_RATIO,
            ),
            Figure(f"{_PYTHON} / ({num_steps} x step), {size}", ratios(seconds[_PYTHON], seconds[_STEPS])),
            Figure(f"step, {size}", [taken / num_steps for taken in seconds[_STEPS]], "s"),
        ]
    return figures


def _sides(networks: Pipeline, num_steps: int) -> dict[str, Callable[[], object]]:
    sampler, step = sampler_graph(networks), step_graph(networks)
    plan = sampling_plan(num_steps, _GUIDANCE, prediction=networks.variant.prediction)
    noise, condition = initial_noise(0)[None], some_condition(networks.variant)
    nothing, table = np.zeros_like(noise), plan_inputs(plan)
    first = {"latents": noise, "previous_denoised": nothing, "condition": condition, **next(step_inputs(plan))}

    def steps_alone() -> None:
        for _ in range(num_steps):
            step(**first)

    def in_python() -> None:
        latents, denoised = noise, nothing
        for inputs in step_inputs(plan):
            latents, denoised = step(latents=latents, previous_denoised=denoised, condition=condition, **inputs)

    return {
        _SAMPLER: lambda: sampler(noise=noise, condition=condition, **table),
        _STEPS: steps_alone,
        _PYTHON: in_python,
    }
