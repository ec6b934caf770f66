"""B1: how many times faster than in the published structure a run is that gives the same latents.

The other side is `benchmarks.published_structure`. Ours makes the condition once and calls the graph `sampler` once.
Same weights, same exporter, same runtime, one thread, one picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor, nn

from benchmarks.figures import DisagreementError, Figure, Target, ratios
from benchmarks.graphs import Float32, Graph, label, plan_inputs, sampler_graph, untrained
from benchmarks.published_structure import feature_specs, published_model, published_run
from benchmarks.turns import Report, take_turns
from export.to_onnx import to_onnx
from xmdpt.nn.network import XMDPT
from xmdpt.nn.pipeline import Pipeline
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import GraphSpec, TensorSpec

MAX_RELATIVE_ERROR = 1e-5
_GUIDANCE = 2.0
_OURS, _PUBLISHED = "ours", "published"
_MIN_RATIO = Target(1.95, "at least")


@dataclass(frozen=True)
class _Effort:
    """How much is run: a ratio of steps needs few of them, agreement is worth something after many only."""

    variant: str
    num_steps: int
    num_rounds: int
    num_checked_steps: int


_FULL = _Effort("s", num_steps=10, num_rounds=9, num_checked_steps=50)
_QUICK = _Effort("tiny", num_steps=2, num_rounds=2, num_checked_steps=3)


class ConditionGraph(nn.Module):
    """All of CANet: what our graphs compute once, in their encoders and in `canet`."""

    def __init__(self, network: XMDPT) -> None:
        super().__init__()
        self.network = network

    def forward(self, pose_tokens: Tensor, photo_tokens: Tensor, source_latents: Tensor) -> Tensor:
        """Return condition [B, D] of the arrays of `feature_specs`."""
        source_vector = self.network.source_vector(photo_tokens, source_latents)
        return self.network.canet.condition(source_vector, self.network.canet.pose_vector(pose_tokens))


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure.

    Raises:
        DisagreementError: the two sides' latents differ by more than rounding.
    """
    effort = _QUICK if is_quick else _FULL
    report(f"exporting both structures, {label(effort.variant)}")
    networks = untrained(effort.variant)
    ours, published = _sides(networks)
    report(f"comparing the latents of {effort.num_checked_steps} steps")
    error = _difference(ours(effort.num_checked_steps), published(effort.num_checked_steps))
    sides = {_OURS: partial(ours, effort.num_steps), _PUBLISHED: partial(published, effort.num_steps)}
    seconds = take_turns(sides, effort.num_rounds, report)
    size = label(effort.variant)
    return [
        Figure(f"published / ours, {size}", ratios(seconds[_PUBLISHED], seconds[_OURS]), target=_MIN_RATIO),
        *(
            Figure(f"{name}, {size}, a step", [taken / effort.num_steps for taken in seconds[name]], "s")
            for name in (_PUBLISHED, _OURS)
        ),
        Figure(
            f"largest difference of latents after {effort.num_checked_steps} steps, of the largest value",
            [error],
            target=Target(MAX_RELATIVE_ERROR, "at most"),
        ),
    ]


def _sides(networks: Pipeline) -> tuple[Callable[[int], Float32], Callable[[int], Float32]]:
    """Our run and the published one, each from a number of steps to latents [1, 4, 32, 32]."""
    specs = feature_specs(networks.variant)
    generator = np.random.default_rng(0)
    features = {spec.name: generator.standard_normal(spec.sizes(1), np.float32) for spec in specs}
    noise = initial_noise(0)[None]
    spec = GraphSpec("condition", specs, (TensorSpec("condition", "f32", (networks.variant.width,)),))
    condition_of = Graph(to_onnx(ConditionGraph(networks.xmdpt), spec))
    sampler, forward = sampler_graph(networks), Graph(published_model(networks))

    def ours(num_steps: int) -> Float32:
        (condition,) = condition_of(**features)
        (latents,) = sampler(noise=noise, condition=condition, **plan_inputs(sampling_plan(num_steps, _GUIDANCE)))
        return latents

    def published(num_steps: int) -> Float32:
        return published_run(forward, noise, features, num_steps, _GUIDANCE)

    return ours, published


def _difference(found: Float32, wanted: Float32) -> float:
    """max|a - b| / max|b|, within rounding."""
    error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    if not error <= MAX_RELATIVE_ERROR:
        raise DisagreementError(f"latents differ by {error:.2g} of the largest value, not {MAX_RELATIVE_ERROR:g}")
    return error
