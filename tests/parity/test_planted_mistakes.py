"""Each mistake that the golden numbers can show is planted, and must show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from xmdpt.nn.golden import Check
from xmdpt.nn.network import XMDPT
from xmdpt.nn.parity import forward_checks
from xmdpt.nn.untrained import fill_golden, golden_base, golden_strong
from xmdpt.spec import VARIANTS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
Mistake = Callable[[XMDPT], object]


def without_position_bias(network: XMDPT) -> None:
    for block in network.tdnet.blocks:
        block.attn.bias.table.zero_()


def with_bias_index_transposed(network: XMDPT) -> None:
    for block in network.tdnet.blocks:
        block.attn.bias.index.copy_(block.attn.bias.index.T.clone())


def with_position_halves_swapped(network: XMDPT) -> None:
    positions = network.tdnet.latent_embedder.positions
    positions.copy_(positions.roll(positions.shape[-1] // 2, dims=-1))


def without_decoder_positions(network: XMDPT) -> None:
    network.tdnet.decoder_positions.zero_()


def with_sines_before_cosines(network: XMDPT) -> None:
    weight = network.tdnet.timestep_embedder.mlp[0].weight
    weight.copy_(weight.roll(128, dims=1))


def with_exact_gelu_in_the_blocks(network: XMDPT) -> None:
    class ExactMlp(nn.Module):
        def __init__(self, mlp: nn.Module) -> None:
            super().__init__()
            self.fc1, self.fc2 = mlp.fc1, mlp.fc2

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.fc2(nn.functional.gelu(self.fc1(tokens)))

    for block in network.tdnet.blocks:
        block.mlp = ExactMlp(block.mlp)


def with_tanh_gelu_in_canet(network: XMDPT) -> None:
    for module in network.canet.modules():
        if isinstance(module, nn.GELU):
            module.approximate = "tanh"


def with_usual_eps_in_canet(network: XMDPT) -> None:
    for module in network.canet.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6


def with_scale_and_shift_swapped(network: XMDPT) -> None:
    for block in network.tdnet.blocks:
        linear = block.modulation.linear
        width = linear.weight.shape[0] // 6
        order = torch.cat([torch.arange(6 * width)[i * width : (i + 1) * width] for i in (1, 0, 2, 3, 4, 5)])
        linear.weight.copy_(linear.weight[order])
        linear.bias.copy_(linear.bias[order])


MISTAKES: list[tuple[str, Mistake]] = [
    ("strong", without_position_bias),
    ("strong", with_bias_index_transposed),
    ("base", with_position_halves_swapped),
    ("base", without_decoder_positions),
    ("base", with_sines_before_cosines),
    ("strong", with_exact_gelu_in_the_blocks),
    ("base", with_tanh_gelu_in_canet),
    ("base", with_usual_eps_in_canet),
    ("base", with_scale_and_shift_swapped),
]


@pytest.mark.parametrize(("rule", "plant"), MISTAKES, ids=[mistake.__name__ for _, mistake in MISTAKES])
def test_forward_when_a_mistake_is_planted_then_the_golden_numbers_show_it(rule: str, plant: Mistake) -> None:
    network = XMDPT(VARIANTS["s"]).eval().requires_grad_(False)
    fill_golden(network, golden_base if rule == "base" else golden_strong)
    with np.load(GOLDEN / ("forward_S.npz" if rule == "base" else "forward_S_strong.npz")) as arrays:
        golden = {"cond.out": arrays["cond.out"]}

    (right,) = forward_checks(golden, network)
    plant(network)
    (wrong,) = forward_checks(golden, network)

    assert isinstance(right, Check)
    assert right.is_within_tolerance
    assert isinstance(wrong, Check)
    assert not wrong.is_within_tolerance
