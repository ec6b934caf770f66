"""B4: how many times faster a whole picture is on a CPU than in the released code's structure in torch.

Theirs is the structure of `benchmarks.published_structure`, uncompiled and in float32, 50 steps, and the decoder. Ours
are three ways to a picture: `exact` is the same 50 steps in float32 graphs, `fast` the same steps with denoiser and
decoder in int8, `draft` 20 steps of DPM-Solver++(2M) in int8. All of a picture from noise to pixels is one measured
run. The encoders of photo and skeleton are measured beside it, the photo's extractor by a tenth of its blocks: what
they add is a sum of parts, and labelled so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.drawing import drawn, held_out_conditions
from benchmarks.figures import Figure, Target, ratios
from benchmarks.frozen_parts import DECODER, PHOTO, REST, SHARE_OF_BLOCKS, frozen_networks, part_runs
from benchmarks.graphs import (
    Float32,
    decoder_graph,
    label,
    plan_inputs,
    sampler_graph,
    shipped,
    some_condition,
    untrained,
)
from benchmarks.published_structure import PublishedForward, feature_specs, published_run
from benchmarks.turns import Report, take_turns
from export.graphs.vae_decoder import VaeDecoderGraph
from export.verify import torch_runner
from xmdpt.evaluation.metrics import psnr
from xmdpt.nn.pipeline import Pipeline
from xmdpt.nn.threads import one_thread
from xmdpt.quality.held_out import Pictures
from xmdpt.repository import Precision
from xmdpt.sampler import SamplingPlan, initial_noise, sampling_plan
from xmdpt.spec import VARIANTS

_GUIDANCE = 2.0
_PUBLISHED, _EXACT, _FAST, _DRAFT = "published", "exact", "fast", "draft"
_TARGETS = {_EXACT: Target(2.2, "at least"), _FAST: Target(3.5, "at least"), _DRAFT: Target(6, "at least")}
_MIN_PSNR_DB = Target(40, "at least")
_PARTS: Mapping[str, Precision | None] = {_PUBLISHED: None, _EXACT: "fp32", _FAST: "int8"}
"""In what each side computes encoders and decoder, draft as fast; None is torch."""
Seconds = Mapping[str, Sequence[float]]
"""Of each side, a value a round."""


@dataclass(frozen=True)
class _Effort:
    """How much is run."""

    variant: str
    num_steps: int
    num_draft_steps: int
    num_rounds: int
    drawing: Callable[[], Pipeline]
    num_pictures: int


_FULL = _Effort("s", 50, 20, num_rounds=3, drawing=shipped, num_pictures=16)
_QUICK = _Effort("tiny", 3, 2, num_rounds=1, drawing=partial(untrained, "tiny"), num_pictures=1)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    size = label(effort.variant)
    with one_thread():
        report(f"exporting denoiser and decoder in float32 and int8, {size}")
        frozen = frozen_networks(VARIANTS[effort.variant])
        ways = _ways(effort, frozen)
        report("warming up")
        for way in ways.values():
            way(2)
        num_steps = {name: effort.num_steps for name in ways} | {_DRAFT: effort.num_draft_steps}
        sides = {name: partial(way, num_steps[name]) for name, way in ways.items()}
        pictures = take_turns(sides, effort.num_rounds, report, is_warm=True)
        report(f"exporting encoders in float32 and int8, {size}")
        parts = {name: part_runs(frozen, precision) for name, precision in _PARTS.items()}
        part_sides = {f"{part}, {name}": run for name, runs in parts.items() for part, run in runs.items()}
        seconds = take_turns(part_sides, effort.num_rounds, report)
        return [
            *_ratios(pictures, seconds, size),
            *(Figure(f"{name}, noise to pixels, {size}", taken, "s") for name, taken in pictures.items()),
            *(Figure(f"encoders, {name}, {size}, sum of parts", _encoders(seconds, name), "s") for name in _PARTS),
            *(Figure(f"{DECODER}, {name}, {size}", seconds[f"{DECODER}, {name}"], "s") for name in _PARTS),
            *_likeness(effort, report),
        ]


def _ratios(pictures: Seconds, parts: Seconds, size: str) -> list[Figure]:
    """Theirs over ours: from noise to pixels, and with the encoders for which a person is new to us, or known."""
    published = np.add(pictures[_PUBLISHED], _encoders(parts, _PUBLISHED))
    figures = [
        Figure(
            f"{_PUBLISHED} / {name}, noise to pixels, {size}", ratios(pictures[_PUBLISHED], pictures[name]), "", target
        )
        for name, target in _TARGETS.items()
    ]
    for name in _TARGETS:
        encoders = _encoders(parts, _FAST if name == _DRAFT else name)
        for who, ours in (("new", np.add(pictures[name], encoders)), ("known", np.array(pictures[name]))):
            title = f"{_PUBLISHED} / {name}, with encoders, a {who} person, {size}, sum of parts"
            figures.append(Figure(title, list(published / ours)))
    return figures


def _encoders(parts: Seconds, name: str) -> list[float]:
    return list(SHARE_OF_BLOCKS * np.array(parts[f"{PHOTO}, {name}"]) + parts[f"{REST}, {name}"])


def _ways(effort: _Effort, frozen: Pipeline) -> dict[str, Callable[[int], object]]:
    """Each way from noise to a picture in a number of steps, all of it."""
    networks = untrained(effort.variant)
    forward = _EagerForward(networks)
    generator = np.random.default_rng(0)
    features = {
        spec.name: generator.standard_normal(spec.sizes(1), np.float32) for spec in feature_specs(networks.variant)
    }
    noise, condition = initial_noise(0)[None], some_condition(networks.variant)
    decode = torch_runner(VaeDecoderGraph(frozen).eval())

    def published(num_steps: int) -> None:
        decode({"latents": published_run(forward, noise, features, num_steps, _GUIDANCE)})

    def ours(precision: Precision, solver: str) -> Callable[[int], None]:
        sampler, decoder = sampler_graph(networks, precision), decoder_graph(frozen, precision)

        def run_it(num_steps: int) -> None:
            plan = sampling_plan(num_steps, _GUIDANCE, solver)
            (latents,) = sampler(noise=noise, condition=condition, **plan_inputs(plan))
            decoder(latents=latents)

        return run_it

    exact, fast = ours("fp32", "ddim"), ours("int8", "ddim")
    return {_PUBLISHED: published, _EXACT: exact, _FAST: fast, _DRAFT: ours("int8", "dpmpp_2m")}


class _EagerForward:
    """`PublishedForward` in torch, called as its graph is."""

    def __init__(self, networks: Pipeline) -> None:
        self._module = PublishedForward(networks.xmdpt).eval()

    def __call__(self, **inputs: Float32) -> list[Float32]:
        with torch.inference_mode():
            outputs = self._module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return [output.numpy() for output in outputs]


def _likeness(effort: _Effort, report: Report) -> list[Figure]:
    """What int8 in denoiser and decoder does to pictures of the shipped weights, and what fewer steps do."""
    report(f"drawing {effort.num_pictures} held-out persons in three ways")
    networks = effort.drawing()
    conditions = list(held_out_conditions(networks, effort.num_pictures))
    prediction = networks.variant.prediction
    full = sampling_plan(effort.num_steps, _GUIDANCE, prediction=prediction)
    short = sampling_plan(effort.num_draft_steps, _GUIDANCE, "dpmpp_2m", prediction)

    def pictures(precision: Precision, plan: SamplingPlan) -> Pictures:
        decoder = decoder_graph(networks, precision)
        return drawn(
            sampler_graph(networks, precision),
            lambda latents: np.asarray(decoder(latents=latents)[0], np.uint8),
            conditions,
            plan,
        )

    exact, fast, draft = pictures("fp32", full), pictures("int8", full), pictures("int8", short)
    same_steps = pictures("fp32", short)
    name = networks.variant.name
    least = f"least PSNR of {effort.num_pictures}"

    def least_psnr(found: Pictures, wanted: Pictures) -> list[float]:
        return [min(psnr(*pair) for pair in zip(found, wanted, strict=True))]

    return [
        Figure(f"{_FAST} against {_EXACT}, pictures of {name}, {least}", least_psnr(fast, exact), "dB", _MIN_PSNR_DB),
        Figure(
            f"{_DRAFT} against the same steps in float32, pictures of {name}, {least}",
            least_psnr(draft, same_steps),
            "dB",
            _MIN_PSNR_DB,
        ),
        Figure(f"{_DRAFT} against {_EXACT}, pictures of {name}, {least}", least_psnr(draft, exact), "dB"),
    ]
