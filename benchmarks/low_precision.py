"""B3: how many times faster than torch in float32 a step in int8 is on a CPU, and what it does to pictures.

Speed is measured at a size of the paper with weights by rule, pictures with the weights that the project ships:
held-out persons, one row a call, the denoiser in both precisions between the same encoders and the same decoder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.drawing import drawn, held_out_conditions
from benchmarks.figures import Figure, Target, ratios
from benchmarks.graphs import (
    Float32,
    label,
    sampler_graph,
    shipped,
    some_condition,
    step_graph,
    step_inputs,
    untrained,
)
from benchmarks.turns import Report, take_turns
from export.graphs import GRAPHS
from export.verify import torch_runner
from xmdpt.evaluation.metrics import psnr
from xmdpt.nn.pipeline import Pipeline
from xmdpt.nn.pixels import from_pixels
from xmdpt.nn.threads import one_thread
from xmdpt.quality.held_out import Pictures
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import graph_specs

_GUIDANCE = 2.0
_EAGER, _INT8, _FLOAT32 = "torch eager float32", "int8 graph", "float32 graph"
_MIN_RATIO = Target(2.4, "at least")
# 2.6 grey levels, which nobody sees.
_MIN_PSNR_DB = Target(40, "at least")


@dataclass(frozen=True)
class _Effort:
    """How much is run: steps of a variant by three sides, and whole pictures of some networks."""

    variant: str
    num_rounds: int
    drawing: Callable[[], Pipeline]
    num_pictures: int
    num_steps: int


_FULL = _Effort("s", num_rounds=15, drawing=shipped, num_pictures=16, num_steps=50)
# Pictures of `tiny` are noise, and its graphs are there already.
_QUICK = _Effort("tiny", num_rounds=2, drawing=partial(untrained, "tiny"), num_pictures=1, num_steps=2)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    report(f"exporting the step in float32 and int8, {label(effort.variant)}")
    with one_thread():
        return [*_speed(effort, report), *_pictures(effort, report)]


def _speed(effort: _Effort, report: Report) -> list[Figure]:
    networks = untrained(effort.variant)
    variant = networks.variant
    latents = initial_noise(0)[None]
    arrays = {
        "latents": latents,
        "previous_denoised": np.zeros_like(latents),
        "condition": some_condition(variant),
        **next(step_inputs(sampling_plan(50, _GUIDANCE))),
    }
    # In the order in which torch takes them.
    inputs = {tensor.name: arrays[tensor.name] for tensor in graph_specs(variant)["tdnet_step"].inputs}
    eager = torch_runner(GRAPHS["tdnet_step"](networks).eval())
    graph, quantised = step_graph(networks), step_graph(networks, "int8")
    sides = {_EAGER: lambda: eager(inputs), _FLOAT32: lambda: graph(**inputs), _INT8: lambda: quantised(**inputs)}
    seconds = take_turns(sides, effort.num_rounds, report)
    size = label(effort.variant)
    return [
        Figure(f"{_EAGER} / {_INT8}, {size}", ratios(seconds[_EAGER], seconds[_INT8]), target=_MIN_RATIO),
        Figure(f"{_EAGER} / {_FLOAT32}, {size}", ratios(seconds[_EAGER], seconds[_FLOAT32])),
        *(Figure(f"{name}, {size}, a step", taken, "s") for name, taken in seconds.items()),
    ]


def _pictures(effort: _Effort, report: Report) -> list[Figure]:
    report(f"drawing {effort.num_pictures} held-out persons in both precisions, {effort.num_steps} steps each")
    networks = effort.drawing()
    conditions = list(held_out_conditions(networks, effort.num_pictures))
    plan = sampling_plan(effort.num_steps, _GUIDANCE, prediction=networks.variant.prediction)

    def decode(latents: Float32) -> Pictures:
        with torch.inference_mode():
            return from_pixels(networks.vae.decode(torch.from_numpy(latents) / networks.variant.latent_scale))

    exact, quantised = (
        drawn(sampler_graph(networks, precision), decode, conditions, plan) for precision in ("fp32", "int8")
    )
    likeness = [psnr(*pair) for pair in zip(quantised, exact, strict=True)]
    name = f"pictures of {networks.variant.name} in int8 against float32, {effort.num_steps} steps"
    return [
        Figure(f"{name}, PSNR", likeness, "dB"),
        Figure(f"{name}, least PSNR of {effort.num_pictures}", [min(likeness)], "dB", _MIN_PSNR_DB),
    ]
