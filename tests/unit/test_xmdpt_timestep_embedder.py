"""The timestep's frequencies are the same numbers on every processor, since exported graphs hold them."""

import math

import numpy as np
import torch

from xmdpt.nn.layers import TimestepEmbedder


def test_frequencies_when_made_then_correctly_rounded_exponentials_of_float32_exponents() -> None:
    log_period = np.float32(-math.log(10_000))
    exponents = [float(log_period * np.float32(k) / np.float32(128)) for k in range(128)]
    assert TimestepEmbedder(8).frequencies.tolist() == [float(np.float32(math.exp(x))) for x in exponents]


def test_embedder_when_given_a_timestep_then_cosines_before_sines() -> None:
    embedder = TimestepEmbedder(256)
    # Nothing after the waves.
    embedder.mlp = torch.nn.Sequential()

    at_zero, at_999 = embedder(torch.tensor([0.0, 999.0]))

    assert at_zero.tolist() == [1.0] * 128 + [0.0] * 128
    assert math.isclose(float(at_999[0]), math.cos(999), abs_tol=1e-5)
    assert math.isclose(float(at_999[128]), math.sin(999), abs_tol=1e-5)
