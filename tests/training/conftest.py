"""Toy data and toy recipes: every part of a training run in seconds."""

from pathlib import Path

import pytest

from xmdpt.training.__main__ import main

RECIPE = """
variant = "demo"
seed = {seed}

[autoencoder]
num_steps = 4
batch_size = 2
crop = 32
squared_weight = 0.5
kl_weight = 3e-5
shrunk_weight = 0.5
optimiser = {{ {optimiser} }}

[denoiser]
num_steps = {num_steps}
batch_size = 2
condition_drop = 0.1
variance_weight = {variance_weight}
masked_from = {masked_from}
is_compiled = false
num_held_out = 4
num_drawn = 2
optimiser = {{ {optimiser} }}
"""
OPTIMISER = (
    "learning_rate = 1e-3, betas = [0.9, 0.98], weight_decay = 0.0, warmup_steps = 1, decay_from = 0.5, "
    "clip_norm = 1.0, ema = 0.9"
)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 rendered pairs."""
    folder = tmp_path_factory.mktemp("rendered")
    arguments = ["render", "--pairs", "40", "--domain", "demo", "--out", str(folder), "--jobs", "2"]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of a few steps, of which the last half have the masked pass."""
    return write_recipe(tmp_path / "toy.toml")


def write_recipe(
    path: Path, num_steps: int = 4, variance_weight: float = 0.0, masked_from: float = 0.5, seed: int = 3
) -> Path:
    """Write a recipe and return its path."""
    text = RECIPE.format(
        optimiser=OPTIMISER, num_steps=num_steps, variance_weight=variance_weight, masked_from=masked_from, seed=seed
    )
    path.write_text(text)
    return path
