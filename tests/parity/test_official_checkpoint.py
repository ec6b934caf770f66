"""An official checkpoint's keys and shapes are taken as they are, and anything else is refused by name."""

import json
from pathlib import Path

import pytest
import torch

from xmdpt.nn.checkpoint import load_official, official_name
from xmdpt.nn.layers import relative_position_index
from xmdpt.nn.network import XMDPT
from xmdpt.nn.untrained import seeded_normal
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.spec import VARIANTS

SHAPES = json.loads((Path(__file__).resolve().parents[1] / "golden" / "checkpoint_S.json").read_text())
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def network() -> XMDPT:
    return XMDPT(VARIANTS["s"]).requires_grad_(False)


@pytest.fixture
def state() -> State:
    """Every key of an official file, each with numbers of its own."""
    index = relative_position_index(16)
    return {
        key: index.clone() if key.endswith("position_index") else torch.full(shape, float(seeded_normal(key, ())))
        for key, shape in SHAPES.items()
    }


def test_load_official_when_the_keys_are_the_official_ones_then_each_tensor_finds_its_place(
    network: XMDPT, state: State
) -> None:
    load_official(network, state)

    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[official_name(name)]), name


def test_load_official_when_training_only_keys_are_absent_then_it_is_content(network: XMDPT, state: State) -> None:
    inference = {k: v for k, v in state.items() if not k.startswith(("sideblocks", "mask_token"))}

    load_official(network, inference)

    assert len(inference) < len(state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("blocks.3.attn.qkv.weight"), "missing blocks.3.attn.qkv.weight"),
        (lambda state: state.update({"ema.rate": torch.ones(1)}), "unexpected ema.rate"),
        (lambda state: state.update({"mlp_final.0.bias": torch.ones(383)}), r"mlp_final.0.bias has shape \[383\]"),
        (
            lambda state: state["blocks.5.attn.rel_pos_bias.relative_position_index"].t_(),
            "blocks.5.attn.rel_pos_bias.relative_position_index is not the order",
        ),
    ],
    ids=["missing", "unexpected", "misshaped", "another index"],
)
def test_load_official_when_a_key_is_wrong_then_it_is_named(network: XMDPT, state: State, change, words: str) -> None:
    change(state)

    with pytest.raises(CheckpointError, match=words):
        load_official(network, state)
