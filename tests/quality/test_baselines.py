"""Floors and ceiling: the mean picture by hand, the autoencoder against torch."""

from pathlib import Path

import numpy as np
import torch

from xmdpt.evaluation.graph_generator import GraphGenerator
from xmdpt.nn.pipeline import Pipeline
from xmdpt.persons.domain import DEMO
from xmdpt.persons.render import render_pair
from xmdpt.quality.baselines import Autoencoder, mean_picture
from xmdpt.quality.held_out import HeldOutPairs

ROOT = Path(__file__).resolve().parents[2]


def test_mean_picture_when_of_two_persons_then_their_mean() -> None:
    first, second = (render_pair(seed, DEMO, "train").views[1].picture.astype(float) for seed in range(2))

    assert np.abs(mean_picture(count=2) - (first + second) / 2).max() <= 0.5


def test_autoencoder_when_pictures_are_rebuilt_then_as_the_networks_do(
    shipped_pipeline: Pipeline, pairs: HeldOutPairs
) -> None:
    repository = ROOT / "model_repository"
    generator = GraphGenerator(repository, num_threads=1)
    assert Autoencoder.is_there(repository, generator)

    rebuilt = Autoencoder(repository, generator).rebuilt(pairs.sources[:1])

    with torch.inference_mode():
        x = torch.from_numpy(pairs.sources[:1]).permute(0, 3, 1, 2) / 127.5 - 1
        x = shipped_pipeline.vae.decode(shipped_pipeline.vae.encode_mode(x))
    expected = ((x + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert rebuilt.dtype == np.uint8
    assert np.abs(rebuilt - expected).max() <= 1
