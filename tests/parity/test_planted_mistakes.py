"""Each mistake that the golden numbers can show is planted, and must show."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from xmdpt.nn.network import TrainableXMDPT
from xmdpt.nn.untrained import golden_base, golden_strong
from xmdpt.parity.golden import Check
from xmdpt.parity.network import golden_network, network_checks

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
Mistake = Callable[[TrainableXMDPT], object]


def without_position_bias(network: Any) -> None:
    for block in network.tdnet.blocks:
        block.attn.bias.table.zero_()


def with_bias_index_transposed(network: Any) -> None:
    for block in network.tdnet.blocks:
        block.attn.bias.index.copy_(block.attn.bias.index.T.clone())


def with_position_halves_swapped(network: Any) -> None:
    positions = network.tdnet.latent_embedder.positions
    positions.copy_(positions.roll(positions.shape[-1] // 2, dims=-1))


def without_decoder_positions(network: Any) -> None:
    network.tdnet.decoder_positions.zero_()


def with_sines_before_cosines(network: Any) -> None:
    weight = network.tdnet.timestep_embedder.mlp[0].weight
    weight.copy_(weight.roll(128, dims=1))


def with_timesteps_off_by_one(network: Any) -> None:
    network.tdnet.timestep_embedder.register_forward_pre_hook(lambda _embedder, inputs: (inputs[0] + 1,))


def with_exact_gelu_in_the_blocks(network: Any) -> None:
    class ExactMlp(nn.Module):
        def __init__(self, mlp: Any) -> None:
            super().__init__()
            self.fc1, self.fc2 = mlp.fc1, mlp.fc2

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.fc2(nn.functional.gelu(self.fc1(tokens)))

    for block in network.tdnet.blocks:
        block.mlp = ExactMlp(block.mlp)


def with_tanh_gelu_in_canet(network: Any) -> None:
    for module in network.canet.modules():
        if isinstance(module, nn.GELU):
            module.approximate = "tanh"


def with_usual_eps_in_canet(network: Any) -> None:
    for module in network.canet.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6


def with_scale_and_shift_swapped(network: Any) -> None:
    for block in network.tdnet.blocks:
        linear = block.modulation.linear
        width = linear.weight.shape[0] // 6
        order = torch.cat([torch.arange(6 * width)[i * width : (i + 1) * width] for i in (1, 0, 2, 3, 4, 5)])
        linear.weight.copy_(linear.weight[order])
        linear.bias.copy_(linear.bias[order])


def without_cross_position_bias(network: Any) -> None:
    network.mipnet.cross_block.attn.bias.table.zero_()


def with_keys_and_values_swapped(network: Any) -> None:
    linear = network.mipnet.cross_block.attn.to_kv
    linear.weight.copy_(linear.weight.roll(len(linear.weight) // 2, dims=0))


def with_a_block_too_few_before_the_filling(network: Any) -> None:
    network.tdnet.encode = lambda tokens, control, kept=None: tokens


def without_mask_token(network: Any) -> None:
    network.mipnet.mask_token.zero_()


# The golden file's rule, the array that shows it, the mistake.
MISTAKES: list[tuple[str, str, Mistake]] = [
    ("strong", "cond.out", without_position_bias),
    ("strong", "cond.out", with_bias_index_transposed),
    ("base", "cond.out", with_position_halves_swapped),
    ("base", "cond.out", without_decoder_positions),
    ("base", "cond.out", with_sines_before_cosines),
    ("base", "cond.out", with_timesteps_off_by_one),
    ("strong", "cond.out", with_exact_gelu_in_the_blocks),
    ("base", "cond.out", with_tanh_gelu_in_canet),
    ("base", "cond.out", with_usual_eps_in_canet),
    ("base", "cond.out", with_scale_and_shift_swapped),
    ("strong", "masked.out", without_cross_position_bias),
    ("strong", "masked.out", with_keys_and_values_swapped),
    ("strong", "masked.out", with_a_block_too_few_before_the_filling),
    ("strong", "masked.out", without_mask_token),
]


@pytest.fixture(scope="module")
def networks() -> dict[str, TrainableXMDPT]:
    return {"base": golden_network("S", golden_base), "strong": golden_network("S", golden_strong)}


@pytest.mark.parametrize(("rule", "key", "plant"), MISTAKES, ids=[mistake.__name__ for *_, mistake in MISTAKES])
def test_network_when_a_mistake_is_planted_then_the_golden_numbers_show_it(
    networks: dict[str, TrainableXMDPT], rule: str, key: str, plant: Mistake
) -> None:
    network = copy.deepcopy(networks[rule])
    with np.load(GOLDEN / ("forward_S.npz" if rule == "base" else "forward_S_strong.npz")) as arrays:
        golden = {key: arrays[key]}

    plant(network)
    (wrong,) = network_checks(golden, network)

    assert isinstance(wrong, Check)
    assert not wrong.is_within_tolerance
    # A mistake must show as a wrong number, not as a wrong shape.
    assert np.isfinite(wrong.error)
