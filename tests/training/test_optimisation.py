"""Learning rate, averages, and the state that a run goes on from."""

import pytest
import torch
from torch import nn

from xmdpt.training.optimisation import Optimiser, OptimiserConfig, rate_factor

CONFIG = OptimiserConfig(
    learning_rate=0.1, betas=(0.9, 0.999), weight_decay=0.0, warmup_steps=10, decay_from=0.5, clip_norm=1.0, ema=0.5
)


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def loss_of(network: nn.Linear, index: int) -> torch.Tensor:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(index))
    return (network(x) - 1).square().mean()


@pytest.mark.parametrize(("index", "factor"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (75, 0.5), (99, 0.02)])
def test_the_rate_rises_stays_and_falls(index: int, factor: float) -> None:
    assert rate_factor(index, 100, CONFIG) == pytest.approx(factor)


def test_without_decay_the_rate_stays_to_the_end() -> None:
    config = OptimiserConfig(0.1, (0.9, 0.999), 0.0, 0, 1.0, 0.0, 0.9999)

    assert {rate_factor(index, 100, config) for index in range(100)} == {1.0}


def test_early_averages_follow_the_weights_and_later_ones_lag() -> None:
    network = linear()
    optimiser = Optimiser({"it": network}, OptimiserConfig(0.1, (0.9, 0.999), 0.0, 0, 1.0, 0.0, 0.999), 100)
    before = network.weight.detach().clone()

    optimiser.step(0, loss_of(network, 0))

    moved = network.weight.detach() - before
    # The first step keeps a tenth, however slow the average is to be.
    torch.testing.assert_close(optimiser.averages["it.weight"], before + 0.9 * moved)


def test_an_averaged_copy_leaves_the_network_as_it_is() -> None:
    network = linear()
    optimiser = Optimiser({"it": network}, CONFIG, 10)
    optimiser.step(0, loss_of(network, 0))
    weight, average = network.weight.detach().clone(), optimiser.averages["it.weight"].clone()

    copied = optimiser.averaged("it", network)

    assert torch.equal(copied.weight, average)
    assert torch.equal(network.weight, weight)
    assert not torch.equal(weight, average)


def test_a_run_goes_on_from_its_state_bit_for_bit() -> None:
    whole = linear()
    optimiser = Optimiser({"it": whole}, CONFIG, 8)
    for index in range(4):
        optimiser.step(index, loss_of(whole, index))
    state = {name: tensor.clone() for name, tensor in optimiser.state().items()}
    again = linear()
    other = Optimiser({"it": again}, CONFIG, 8)
    other.load_state(state)

    for index in range(4, 8):
        optimiser.step(index, loss_of(whole, index))
        other.step(index, loss_of(again, index))

    assert torch.equal(whole.weight, again.weight)
    assert torch.equal(optimiser.averages["it.bias"], other.averages["it.bias"])


def test_what_is_frozen_is_not_trained() -> None:
    network = linear()
    network.bias.requires_grad_(False)

    optimiser = Optimiser({"it": network}, CONFIG, 8)

    assert list(optimiser.averages) == ["it.weight"]
