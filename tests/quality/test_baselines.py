"""Floors and ceiling: the mean picture by hand, the autoencoder against torch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.built_repositories import demo_networks, demo_repository
from xmdpt.evaluation.generators import Model
from xmdpt.evaluation.graph_generator import GraphGenerator
from xmdpt.evaluation.mistakes import RunError
from xmdpt.persons.domain import DEMO
from xmdpt.persons.render import render_pair
from xmdpt.quality.baselines import Autoencoder, mean_picture
from xmdpt.quality.held_out import HeldOutPairs
from xmdpt.repository import shared_weights_path


class Decoder:
    """A generator that shows what it was to decode."""

    def __init__(self, variant: str, is_trained: bool = True) -> None:
        self.model = Model(variant, "none", "sha256:1", "none", is_trained)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return latents


def test_mean_picture_when_of_two_persons_then_their_mean() -> None:
    first, second = (render_pair(seed, DEMO, "train").views[0].picture.astype(float) for seed in range(2))

    assert np.abs(mean_picture(count=2) - (first + second) / 2).max() <= 0.5


def test_autoencoder_when_pictures_are_rebuilt_then_as_the_networks_do(pairs: HeldOutPairs) -> None:
    generator = GraphGenerator(demo_repository(), num_threads=1)
    assert Autoencoder.is_there(demo_repository(), generator)

    rebuilt = Autoencoder(demo_repository(), generator).rebuilt(pairs.sources[:1])

    vae = demo_networks().vae
    with torch.inference_mode():
        x = torch.from_numpy(pairs.sources[:1]).permute(0, 3, 1, 2) / 127.5 - 1
        x = vae.decode(vae.encode_mode(x))
    expected = ((x + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert rebuilt.dtype == np.uint8
    assert np.abs(rebuilt - expected).max() <= 1


def test_autoencoder_when_the_model_is_by_rule_then_so_is_its_encoder(pairs: HeldOutPairs, tmp_path: Path) -> None:
    latents = Autoencoder(tmp_path, Decoder("tiny", is_trained=False)).rebuilt(pairs.sources[:1])

    assert latents.shape == (1, 4, 32, 32)


def test_autoencoder_when_the_bundle_is_damaged_then_a_run_error_names_it(tmp_path: Path) -> None:
    (tmp_path / shared_weights_path("demo")).write_bytes(b"no weights")

    with pytest.raises(RunError, match=r"demo\.safetensors"):
        Autoencoder(tmp_path, Decoder("demo"))


def test_autoencoder_when_the_weights_stayed_with_their_owner_then_there_is_none(tmp_path: Path) -> None:
    assert not Autoencoder.is_there(tmp_path, Decoder("s"))
    assert Autoencoder.is_there(tmp_path, Decoder("tiny", is_trained=False))
