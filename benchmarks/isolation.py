"""B8: does a row of a batch come out as it does alone, bit for bit?

By the step as a worker runs it, rows joining and leaving between calls, and by the graph `sampler` with rows of other
lengths; with the graphs that the project ships, and at a size of the paper. Nothing is timed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, Target
from benchmarks.graphs import REPOSITORY, Float32, label, step_inputs, step_model, untrained
from benchmarks.turns import Report
from export.loop import sampler_model
from export.verify import Runner
from xmdpt.graph_session import GraphSession
from xmdpt.repository import graph_path, load_manifest, weights_folder
from xmdpt.sampler import SAMPLERS, SamplingPlan, initial_noise, sampling_plan, stack_plans
from xmdpt.spec import VARIANTS, Variant, graph_specs

_STEP, _SAMPLER = "tdnet_step", "sampler"
_GUIDANCE = 2.0
_NO_DIFFERENCE = Target(0, "at most")
_SHORT, _LONG = (2, 5, 3), (10, 50, 20)
"""Steps of the rows of a batch: seconds at size S, and what requests ask for."""


@dataclass(frozen=True)
class Row:
    """What is one picture's own.

    Attributes:
        noise: [1, 4, 32, 32].
        condition: [1, D].
        plan: of 2 steps or more.
    """

    noise: Float32
    condition: Float32
    plan: SamplingPlan


Way = Callable[[Runner, Sequence[Row]], Float32]
"""A graph and the rows of a batch to the latents [B, 4, 32, 32] in which they end."""


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    size = "tiny" if is_quick else "s"
    figures = []
    for name, graphs, num_steps in (
        ("demo", _shipped(), _SHORT if is_quick else _LONG),
        (size, _exported(size), _SHORT),
    ):
        rows = rows_of(VARIANTS[name], num_steps)
        for graph, way in WAYS.items():
            report(f"{graph} of {label(name)}")
            steps = ", ".join(map(str, num_steps))
            figures.append(
                Figure(
                    f"{graph}, rows of {steps} steps, in a batch and alone, largest difference, {label(name)}",
                    [largest_difference(way, graphs[graph], rows)],
                    target=_NO_DIFFERENCE,
                )
            )
    return figures


def largest_difference(way: Way, graph: Runner, rows: Sequence[Row]) -> float:
    """Between the latents of each row in a batch of them all and those that it has alone."""
    alone = np.concatenate([way(graph, [row]) for row in rows])
    return float(np.abs(way(graph, rows) - alone).max())


def by_steps(step: Runner, rows: Sequence[Row]) -> Float32:
    """Call `tdnet_step` as a worker does: each row joins a call after the one before it, and leaves when it is done."""
    latents = np.concatenate([row.noise for row in rows])
    denoised = np.zeros_like(latents)
    left = {number: list(step_inputs(row.plan)) for number, row in enumerate(rows)}
    num_joined = 0
    while left:
        num_joined += 1
        present = [number for number in left if number < num_joined]
        own = [left[number].pop(0) for number in present]
        shared = {name: np.concatenate([inputs[name] for inputs in own]) for name in own[0]}
        condition = np.concatenate([rows[number].condition for number in present])
        latents[present], denoised[present] = step(
            {
                "latents": latents[present],
                "previous_denoised": denoised[present],
                "condition": condition,
                **shared,
            }
        )
        left = {number: inputs for number, inputs in left.items() if inputs}
    return latents


def by_loop(sampler: Runner, rows: Sequence[Row]) -> Float32:
    """Call `sampler` once for as many steps as the longest row has."""
    noise, condition = (
        np.concatenate(parts) for parts in zip(*((row.noise, row.condition) for row in rows), strict=True)
    )
    (latents,) = sampler({"noise": noise, "condition": condition, **vars(stack_plans([row.plan for row in rows]))})
    return latents


WAYS: Mapping[str, Way] = {_STEP: by_steps, _SAMPLER: by_loop}
"""By the graph that each calls."""


def rows_of(variant: Variant, num_steps: Sequence[int]) -> list[Row]:
    """A row for each number of steps, with noise and condition of its own and the samplers by turns."""
    conditions = np.random.default_rng(0).standard_normal((len(num_steps), 1, variant.width), np.float32)
    plans = [
        sampling_plan(number, _GUIDANCE, sampler, variant.prediction)
        for number, sampler in zip(num_steps, cycle(SAMPLERS), strict=False)
    ]
    return [
        Row(initial_noise(seed)[None], condition, plan)
        for seed, (condition, plan) in enumerate(zip(conditions, plans, strict=True))
    ]


def _shipped() -> Mapping[str, Runner]:
    """Step and sampler of the project's model repository."""
    manifest = load_manifest(REPOSITORY)
    return {name: _loaded(REPOSITORY / graph_path(name), weights_folder(REPOSITORY, manifest, name)) for name in WAYS}


def _exported(name: str) -> Mapping[str, Runner]:
    """Step and sampler of a variant with weights by rule."""
    networks = untrained(name)
    step = step_model(networks)
    models = {_STEP: step, _SAMPLER: sampler_model(step, graph_specs(networks.variant)[_SAMPLER])}
    return {graph: _loaded(model.SerializeToString(), Path()) for graph, model in models.items()}


def _loaded(model: Path | bytes, weights: Path) -> Runner:
    # A session of fewer rows than the batch has would run it in parts, which tells nothing.
    return GraphSession(model, weights, len(_SHORT), num_threads=1, device="cpu").run
