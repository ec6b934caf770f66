"""The placeholder's weights follow from their names alone, fit a byte each, and leave no part dead."""

import hashlib

import numpy as np
import pytest
import torch

from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained, golden_base, golden_strong, seeded_normal
from xmdpt.spec import VARIANTS

DIGEST = "3cb26374358b2929058cad06242b07ce319bdc73b7afa7cdf82c2ceaeb4f2ccb"
"""SHA-256 over each name and its bytes, sorted by name; a change of it changes every picture of the untrained model."""


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    pipeline = build_pipeline(VARIANTS["tiny"])
    fill_untrained(pipeline)
    return pipeline


def test_untrained_when_filled_then_the_pinned_weights(tiny: Pipeline) -> None:
    digest = hashlib.sha256()
    for name, tensor in sorted(tiny.state_dict().items()):
        # Adding 0 takes the sign from zeros.
        digest.update(name.encode() + (tensor + 0.0).numpy().tobytes())
    assert digest.hexdigest() == DIGEST


def test_untrained_when_filled_then_nothing_is_dead(tiny: Pipeline) -> None:
    for name, tensor in tiny.state_dict().items():
        assert tensor.numel() == 1 or float(tensor.std()) > 0.01, name
        assert float((tensor == 0).float().mean()) < 0.2, name
        assert torch.isfinite(tensor).all(), name


def test_untrained_when_filled_then_each_tensor_is_whole_steps_of_a_power_of_two(tiny: Pipeline) -> None:
    for name, tensor in tiny.state_dict().items():
        values = tensor.double().numpy()
        step = 2.0 ** np.ceil(np.log2(np.abs(values).max() / 127))
        assert (values / step == np.round(values / step)).all(), name
        assert np.abs(values / step).max() <= 127, name


def test_untrained_when_run_then_condition_and_timestep_matter(tiny: Pipeline) -> None:
    latents = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4, 32, 32), np.float32))
    tdnet, condition = tiny.xmdpt.tdnet, torch.ones(1, 64)

    with torch.inference_mode():
        base = tdnet(latents, torch.tensor([500.0]), condition)
        others = [
            tdnet(latents, torch.tensor([500.0]), torch.zeros(1, 64)),
            tdnet(latents, torch.tensor([100.0]), condition),
            tdnet(-latents, torch.tensor([500.0]), condition),
        ]

    assert 0.1 < float(base.std()) < 10
    assert all(float((other - base).abs().max() / base.abs().max()) > 0.05 for other in others)


@pytest.mark.parametrize("rule", [golden_base, golden_strong])
def test_golden_rule_when_asked_twice_then_the_same_numbers_by_name(rule) -> None:
    first, again, other = (rule(key, (4, 5)) for key in ("blocks.0.a", "blocks.0.a", "blocks.0.b"))
    assert (first == again).all()
    assert (first != other).all()


def test_seeded_normal_when_drawn_then_the_seed_is_the_keys_crc32() -> None:
    # The check value that CRC-32 is published with.
    expected = np.random.default_rng(0xCBF43926).standard_normal((2, 3))
    assert (seeded_normal("123456789", (2, 3)) == expected).all()
