"""The networks and graphs that benchmarks run, each made once, and ONNX Runtime on one thread.

Does not know what is compared (one module a benchmark).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export.graphs import GRAPHS, module_of
from export.loop import sampler_model
from export.to_onnx import to_onnx
from xmdpt.graph_session import Device, GraphSession
from xmdpt.nn.bundle import load_bundle
from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.repository import Precision, shared_weights_path
from xmdpt.sampler import SamplingPlan, stack_plans
from xmdpt.spec import LOW_DECODER, VARIANTS, Dinov2Config, Variant, graph_specs, low_specs

Float32 = NDArray[np.float32]

REPOSITORY = Path(__file__).resolve().parents[1] / "model_repository"


class Graph:
    """A model in ONNX Runtime; on the CPU in the calling thread alone."""

    def __init__(self, model: onnx.ModelProto, device: Device = "cpu") -> None:
        # Weights are inside, and what is timed is one row.
        self._session = GraphSession(model.SerializeToString(), Path(), 1, num_threads=1, device=device)

    def __call__(self, **inputs: Float32) -> list[Float32]:
        """Return the outputs in order."""
        return self._session.run(inputs)


def label(variant: str) -> str:
    """What people call a variant: "size S", or its name."""
    return variant if variant in ("tiny", "demo") else f"size {variant.upper()}"


@cache
def untrained(name: str) -> Pipeline:
    """A variant's denoiser and CANet in full, with weights by rule; of extractors and autoencoder as little as can be.

    Of DINOv2 only the shape of its features counts here: it has no blocks.
    """
    variant = VARIANTS[name]
    if isinstance(variant.pose_extractor, Dinov2Config) and isinstance(variant.photo_extractor, Dinov2Config):
        variant = replace(
            variant,
            pose_extractor=replace(variant.pose_extractor, depth=0),
            photo_extractor=replace(variant.photo_extractor, depth=0),
            vae=VARIANTS["tiny"].vae,
        )
    pipeline = build_pipeline(variant)
    fill_untrained(pipeline)
    return pipeline


@cache
def shipped() -> Pipeline:
    """The networks of `demo` with the weights that the project ships."""
    return load_bundle(VARIANTS["demo"], REPOSITORY / shared_weights_path("demo"))


@cache
def step_model(networks: Pipeline, precision: Precision = "fp32") -> onnx.ModelProto:
    """The graph `tdnet_step`, whose products of tokens with weights are computed in this precision."""
    spec = graph_specs(networks.variant)["tdnet_step"]
    return to_onnx(GRAPHS["tdnet_step"](networks), spec, precision=precision)


def step_graph(networks: Pipeline, precision: Precision = "fp32") -> Graph:
    """`step_model`, loaded."""
    return Graph(step_model(networks, precision))


def sampler_graph(networks: Pipeline, precision: Precision = "fp32") -> Graph:
    """The graph `sampler` around the same step, loaded."""
    return Graph(sampler_model(step_model(networks, precision), graph_specs(networks.variant)["sampler"]))


@cache
def decoder_graph(networks: Pipeline, precision: Precision = "fp32", device: Device = "cpu") -> Graph:
    """The graph `vae_decoder`, or in int8 `vae_decoder_low`, loaded."""
    spec = (
        low_specs(networks.variant)[LOW_DECODER]
        if precision == "int8"
        else graph_specs(networks.variant)["vae_decoder"]
    )
    return Graph(to_onnx(module_of(spec.name)(networks), spec, precision=precision), device)


def plan_inputs(plan: SamplingPlan) -> dict[str, Float32]:
    """What `sampler` takes of a plan, for one row."""
    return dict(vars(stack_plans([plan])))


def step_inputs(plan: SamplingPlan) -> Iterator[dict[str, Float32]]:
    """What `tdnet_step` takes of a plan, for one row, step by step."""
    for timestep, guidance, row in zip(plan.timesteps, plan.guidance, plan.coefficients, strict=True):
        yield {"timestep": np.full((1, 1), timestep), "guidance": np.full((1, 1), guidance), "coefficients": row[None]}


def some_condition(variant: Variant) -> Float32:
    """[1, D], standard normal."""
    return np.random.default_rng(0).standard_normal((1, variant.width), np.float32)
