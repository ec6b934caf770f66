"""Weights that do not fit are refused, and the message names the first key of each kind that is wrong."""

import pytest
import torch
from torch import Tensor

from xmdpt.nn.checkpoint import load_official, official_name
from xmdpt.nn.layers import relative_position_index
from xmdpt.nn.network import XMDPT
from xmdpt.nn.untrained import fill_golden, golden_strong
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.spec import VARIANTS

State = dict[str, Tensor]
INDEX = "attn.rel_pos_bias.relative_position_index"


def a_network() -> XMDPT:
    return XMDPT(VARIANTS["tiny"]).requires_grad_(False)


@pytest.fixture(scope="module")
def filled() -> XMDPT:
    network = a_network()
    fill_golden(network, golden_strong)
    return network


@pytest.fixture
def official(filled: XMDPT) -> State:
    """What an official checkpoint of this size holds, without the parts that only training uses."""
    state = {official_name(name): tensor.clone() for name, tensor in filled.state_dict().items()}
    state |= {f"blocks.{block}.{INDEX}": relative_position_index(16) for block in range(4)}
    return state


def test_official_when_it_fits_then_every_weight_arrives(filled: XMDPT, official: State) -> None:
    network = a_network()

    load_official(network, official)

    state = network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in filled.state_dict().items())


def test_official_when_it_lacks_the_index_buffers_then_accepted(official: State) -> None:
    load_official(a_network(), {key: tensor for key, tensor in official.items() if INDEX not in key})


def test_official_when_it_holds_what_training_alone_uses_then_left_out(official: State) -> None:
    official["mask_token"] = torch.zeros(1, 1, 64)
    for key in [key for key in official if key.startswith("blocks.0.")]:
        part = key.removeprefix("blocks.0.")
        official[f"sideblocks.0.{part}"] = official[key]
        for projection in ("to_q", "to_kv"):
            official[f"sideblocks_cross.0.{part.replace('qkv', projection)}"] = official[key]

    load_official(a_network(), official)


@pytest.mark.parametrize(
    "key",
    ["sideblocks.1.attn.qkv.bias", "sideblocks.0.attn.to_q.bias", "sideblocks_cross.0.attn.qkv.bias", "mask_tokens"],
)
def test_official_when_a_training_key_is_another_then_unexpected(official: State, key: str) -> None:
    official[key] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=f"unexpected {key}$"):
        load_official(a_network(), official)


def test_official_when_a_key_is_missing_then_named(official: State) -> None:
    del official["blocks.2.mlp.fc1.weight"]
    with pytest.raises(CheckpointError, match=r"network: missing blocks\.2\.mlp\.fc1\.weight$"):
        load_official(a_network(), official)


def test_official_when_many_are_missing_then_the_first_and_how_many_more(official: State) -> None:
    missing = [key for key in official if key.startswith("blocks.1.") and INDEX not in key]
    for key in missing:
        del official[key]

    with pytest.raises(CheckpointError) as error:
        load_official(a_network(), official)

    assert str(error.value).endswith(f"missing {missing[0]} (and {len(missing) - 1} more)")


def test_official_when_wrong_in_every_way_then_each_kind_in_one_line(official: State) -> None:
    del official["pos_embed"]
    official["model.pos_embed"] = torch.zeros(1)
    official["x_embedder.proj.bias"] = torch.zeros(65)

    with pytest.raises(CheckpointError) as error:
        load_official(a_network(), official)

    assert str(error.value) == (
        "the weights do not fit the network: missing pos_embed; unexpected model.pos_embed; "
        "x_embedder.proj.bias has shape [65] instead of [64]"
    )


def test_official_when_of_another_size_then_misshaped_and_nothing_changes(official: State) -> None:
    network = a_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    official["mlp_final.0.weight"] = torch.zeros(384, 384)

    with pytest.raises(CheckpointError, match=r"mlp_final\.0\.weight has shape \[384, 384\] instead of \[64, 64\]"):
        load_official(network, official)

    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("change", [lambda index: index.T, lambda index: index[:4, :4], lambda index: index + 1])
def test_official_when_an_index_is_in_another_order_then_refused(official: State, change) -> None:
    key = f"blocks.3.{INDEX}"
    official[key] = change(official[key])
    with pytest.raises(CheckpointError, match=f"{key} is not the order"):
        load_official(a_network(), official)
