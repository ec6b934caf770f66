"""Whole pictures of held-out persons by graphs, with the weights that the project ships."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from benchmarks.graphs import Float32, Graph, plan_inputs
from xmdpt.nn.pipeline import Pipeline
from xmdpt.nn.reference import condition_of
from xmdpt.quality.held_out import Pictures, held_out_pairs
from xmdpt.sampler import SamplingPlan, initial_noise

Decode = Callable[[Float32], Pictures]
"""Latents [1, 4, 32, 32] to pictures [1, 256, 256, 3] uint8 RGB."""


def held_out_conditions(networks: Pipeline, num_pictures: int) -> Iterator[Float32]:
    """The condition [1, D] of each of the first held-out pairs."""
    pairs = held_out_pairs(range(num_pictures))
    for photo, skeleton in zip(pairs.sources, pairs.skeletons, strict=True):
        with torch.inference_mode():
            yield condition_of(networks, photo, skeleton).numpy()


def drawn(sampler: Graph, decode: Decode, conditions: Sequence[Float32], plan: SamplingPlan) -> Pictures:
    """Return a picture of each condition, each with a seed of its own: [N, 256, 256, 3] uint8 RGB."""
    inputs = plan_inputs(plan)
    pictures = []
    for seed, condition in enumerate(conditions):
        (latents,) = sampler(noise=initial_noise(seed)[None], condition=condition, **inputs)
        pictures.append(decode(latents))
    return np.concatenate(pictures)
