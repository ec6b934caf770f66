"""B4: how many times faster a whole picture is on a CPU than in the released code's structure in torch.

Theirs is the structure of `benchmarks.published_structure`, uncompiled and in float32, 50 steps, and the decoder. Ours
are the presets as they are served: steps and decoder as `xmdpt.presets` says, in float32 or int8, encoders in float32.
All of a picture from noise to pixels is one measured run. The encoders of photo and skeleton are measured beside it,
the photo's extractor by a tenth of its blocks: what they add is a sum of parts, and labelled so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.drawing import drawn, held_out_conditions
from benchmarks.figures import Figure, Target, ratios
from benchmarks.frozen_parts import DECODER, ENCODER, PHOTO, POSE, SHARE_OF_BLOCKS, frozen_networks, part_runs
from benchmarks.graphs import (
    Float32,
    Graph,
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
from xmdpt.presets import PRESETS, Preset
from xmdpt.quality.held_out import Pictures
from xmdpt.repository import Precision
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import VARIANTS

_GUIDANCE = 2.0
_PUBLISHED, _OURS = "published", "ours"
_TARGETS = {
    Preset.EXACT: Target(2.2, "at least"),
    Preset.FAST: Target(3.5, "at least"),
    Preset.DRAFT: Target(6, "at least"),
}
_MIN_PSNR_DB = Target(40, "at least")
_PARTS: Mapping[str, Precision | None] = {_PUBLISHED: None, _OURS: "fp32"}
"""In what each side computes encoders and decoder; None is torch."""
Seconds = Mapping[str, Sequence[float]]
"""Of each side, a value a round."""


@dataclass(frozen=True)
class _Effort:
    """How much is run."""

    variant: str
    num_steps: Mapping[Preset, int]
    num_rounds: int
    drawing: Callable[[], Pipeline]
    num_pictures: int


_FULL = _Effort("s", {name: meaning.num_steps for name, meaning in PRESETS.items()}, 3, shipped, 16)
_QUICK = _Effort("tiny", {Preset.EXACT: 3, Preset.FAST: 3, Preset.DRAFT: 2}, 1, partial(untrained, "tiny"), 1)


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
        num_steps = {**effort.num_steps, _PUBLISHED: effort.num_steps[Preset.EXACT]}
        sides = {name: partial(way, num_steps[name]) for name, way in ways.items()}
        pictures = take_turns(sides, effort.num_rounds, report, is_warm=True)
        report(f"exporting encoders, {size}")
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
            f"{_PUBLISHED} / {preset}, noise to pixels, {size}",
            ratios(pictures[_PUBLISHED], pictures[preset]),
            target=_TARGETS[preset],
        )
        for preset in Preset
    ]
    encoders = _encoders(parts, _OURS)
    for preset in Preset:
        known = np.array(pictures[preset])
        for who, ours in (("new", known + encoders), ("known", known)):
            title = f"{_PUBLISHED} / {preset}, with encoders, a {who} person, {size}, sum of parts"
            figures.append(Figure(title, list(published / ours)))
    return figures


def _encoders(parts: Seconds, name: str) -> list[float]:
    photo, pose, encoder = (np.array(parts[f"{part}, {name}"]) for part in (PHOTO, POSE, ENCODER))
    return list(SHARE_OF_BLOCKS * photo + pose + encoder)


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

    samplers, decoders = _graphs(networks, frozen)

    def ours(preset: Preset, num_steps: int) -> None:
        plan = plan_inputs(sampling_plan(num_steps, _GUIDANCE))
        (latents,) = samplers[_precision(preset)](noise=noise, condition=condition, **plan)
        decoders[_precision(preset)](latents=latents)

    return {_PUBLISHED: published, **{preset.value: partial(ours, preset) for preset in Preset}}


def _precision(preset: Preset) -> Precision:
    """Of a preset's steps and decoder."""
    return "int8" if PRESETS[preset].wants_low_precision else "fp32"


def _graphs(networks: Pipeline, frozen: Pipeline) -> tuple[Mapping[Precision, Graph], Mapping[Precision, Graph]]:
    """Sampler and decoder in each precision that a preset has, loaded once for all presets."""
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    samplers: dict[Precision, Graph] = {precision: sampler_graph(networks, precision) for precision in precisions}
    decoders: dict[Precision, Graph] = {precision: decoder_graph(frozen, precision) for precision in precisions}
    return samplers, decoders


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
    networks = effort.drawing()
    conditions = list(held_out_conditions(networks, effort.num_pictures))
    samplers, decoders = _graphs(networks, networks)

    def pictures(precision: Precision, preset: Preset) -> Pictures:
        plan = sampling_plan(effort.num_steps[preset], _GUIDANCE, prediction=networks.variant.prediction)
        report(f"drawing {effort.num_pictures} held-out persons, {preset}, in {precision}")
        return drawn(
            samplers[precision],
            lambda latents: np.asarray(decoders[precision](latents=latents)[0], np.uint8),
            conditions,
            plan,
        )

    found = {preset: pictures(_precision(preset), preset) for preset in Preset}
    same_steps = pictures("fp32", Preset.DRAFT)

    def least_psnr(preset: Preset, other: str, wanted: Pictures, target: Target | None = None) -> Figure:
        least = min(psnr(*pair) for pair in zip(found[preset], wanted, strict=True))
        name = f"{preset} against {other}, pictures of {networks.variant.name}, least PSNR of {effort.num_pictures}"
        return Figure(name, [least], "dB", target)

    exact = found[Preset.EXACT]
    return [
        least_psnr(Preset.FAST, Preset.EXACT, exact, _MIN_PSNR_DB),
        least_psnr(Preset.DRAFT, "the same steps in float32", same_steps, _MIN_PSNR_DB),
        least_psnr(Preset.DRAFT, Preset.EXACT, exact),
    ]
