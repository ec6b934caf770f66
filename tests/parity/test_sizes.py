"""Every size has the numbers of parameters and the shapes that the official code has, and begins as it does."""

import json
from pathlib import Path

import pytest
import torch

from xmdpt.nn.checkpoint import official_name
from xmdpt.nn.initialisation import initialise
from xmdpt.nn.network import XMDPT, Conditions, TrainableXMDPT
from xmdpt.spec import VARIANTS, Variant

SHAPES = json.loads((Path(__file__).resolve().parents[1] / "golden" / "checkpoint_S.json").read_text())


def num_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "for_training", "for_inference"),
    [("s", 39_117_301, 33_785_413), ("b", 153_731_269, 132_450_661), ("l", 498_945_445, 461_134_117)],
)
def test_network_when_counted_then_has_the_official_number_of_parameters(
    name: str, for_training: int, for_inference: int
) -> None:
    with torch.device("meta"):
        assert num_parameters(TrainableXMDPT(VARIANTS[name])) == for_training
        assert num_parameters(XMDPT(VARIANTS[name])) == for_inference


def test_network_when_its_keys_are_renamed_then_they_are_the_official_ones() -> None:
    network = TrainableXMDPT(VARIANTS["s"])

    ours = {official_name(name): list(tensor.shape) for name, tensor in network.state_dict().items()}

    assert ours == {key: shape for key, shape in SHAPES.items() if not key.endswith("position_index")}


@pytest.mark.parametrize("name", ["s", "b", "l", "xl"])
def test_network_when_shapes_alone_are_computed_then_both_passes_fit(name: str) -> None:
    variant = VARIANTS[name]
    with torch.device("meta"):
        network = TrainableXMDPT(variant).to("meta")
        latents, timestep, conditions = a_batch(variant)

        plain = network.plain(latents, timestep, conditions)
        masked, inner = network.masked(latents, timestep, conditions, torch.rand(2, variant.num_tokens))

    assert plain.shape == masked.shape == (2, 8, 32, 32)
    assert {value.shape for value in inner.values()} == {(2, 256, variant.width)}
    assert (len(network.tdnet.blocks), variant.width // variant.heads) == {
        "s": (12, 64),
        "b": (12, 64),
        "l": (24, 64),
        "xl": (28, 72),
    }[name]


@pytest.fixture(scope="module")
def initial() -> TrainableXMDPT:
    torch.manual_seed(0)
    network = TrainableXMDPT(VARIANTS["tiny"])
    initialise(network)
    return network


def a_batch(variant: Variant) -> tuple[torch.Tensor, torch.Tensor, Conditions]:
    latents = torch.randn(2, 4, 32, 32)
    pose_tokens = torch.randn(2, 257, variant.pose_extractor.width)
    photo_tokens = torch.randn(2, 257, variant.photo_extractor.width)
    return latents, torch.tensor([3.0, 900.0]), Conditions(pose_tokens, photo_tokens, latents, torch.ones(2, 1))


def test_initialise_when_done_then_both_passes_predict_zero(initial: TrainableXMDPT) -> None:
    latents, timestep, conditions = a_batch(VARIANTS["tiny"])

    plain = initial.plain(latents, timestep, conditions)
    masked, _ = initial.masked(latents, timestep, conditions, torch.rand(2, 256))

    assert not plain.any()
    assert not masked.any()


def test_initialise_when_done_then_weights_have_the_official_spreads(initial: TrainableXMDPT) -> None:
    weights = dict(initial.named_parameters())

    for name, std in {
        "tdnet.timestep_embedder.mlp.0.weight": 0.02,
        "canet.merge.0.weight": 0.02,
        "canet.pose_pool.0.weight": 0.02,
        "mipnet.mask_token": 0.02,
        # Xavier: the variance of a uniform distribution is 2 / (inputs + outputs).
        "tdnet.blocks.0.attn.qkv.weight": (2 / (64 + 192)) ** 0.5,
        "tdnet.blocks.0.mlp.fc1.weight": (2 / (64 + 256)) ** 0.5,
        "mipnet.cross_block.attn.to_kv.weight": (2 / (64 + 128)) ** 0.5,
        "tdnet.latent_embedder.projection.weight": (2 / (16 + 64)) ** 0.5,
    }.items():
        assert float(weights[name].detach().std()) == pytest.approx(std, rel=0.25), name
    assert all(not weights[name].any() for name in weights if ".modulation." in name or name.endswith("qkv.bias"))


def test_condition_when_dropped_then_neither_photo_nor_pose_matters(initial: TrainableXMDPT) -> None:
    for name, parameter in initial.named_parameters():
        if ".modulation." in name or "final_layer" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    latents, timestep, conditions = a_batch(VARIANTS["tiny"])
    kept = torch.tensor([[0.0], [1.0]])
    others = Conditions(conditions.pose_tokens * 2, -conditions.photo_tokens, latents + 1, kept)
    conditions = Conditions(conditions.pose_tokens, conditions.photo_tokens, latents, kept)

    difference = (initial.plain(latents, timestep, conditions) - initial.plain(latents, timestep, others)).abs()

    assert difference[0].max() == 0
    assert difference[1].max() > 0.01
