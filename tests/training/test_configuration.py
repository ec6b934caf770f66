"""Recipes: the shipped ones are read, mistakes are named."""

from pathlib import Path

import pytest

from tests.training.conftest import write_recipe
from xmdpt.evaluation.mistakes import InputError
from xmdpt.spec import VARIANTS
from xmdpt.training.configuration import read_recipe, shipped_recipes


@pytest.mark.parametrize("variant", ["s", "b", "l", "tiny"])
def test_the_papers_recipe_is_that_of_every_size(variant: str) -> None:
    recipe, found = read_recipe("paper", variant)

    denoiser = recipe.denoiser
    assert found == VARIANTS[variant]
    assert (found.prediction, denoiser.variance_weight, denoiser.masked_from) == ("epsilon", 1.0, 0.0)
    assert (denoiser.condition_drop, denoiser.batch_size) == (0.1, 32)
    assert (denoiser.optimiser.learning_rate, denoiser.optimiser.decay_from) == (1e-4, 1.0)
    assert (denoiser.optimiser.betas, denoiser.optimiser.ema) == ((0.9, 0.999), 0.9999)
    assert recipe.autoencoder is None


def test_the_demos_recipe_has_both_parts() -> None:
    recipe, variant = read_recipe("demo")

    assert variant.name == "demo"
    assert recipe.autoencoder is not None
    assert 0 < recipe.denoiser.masked_from < 1


def test_there_are_two() -> None:
    assert shipped_recipes() == ["demo", "paper"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = 3", "seeds = 3", "unknown seeds"),
        ("batch_size = 2\ncrop", "crop", "autoencoder: batch_size is missing"),
        ("crop = 32", "crop = 32.5", "crop must be a whole number from 0, not 32.5"),
        ("crop = 32", "crop = 24", "crop must be a multiple of 16"),
        ("num_held_out = 4", "num_held_out = 0", "num_held_out and num_drawn must be at least 1"),
        ("condition_drop = 0.1", "condition_drop = inf", "condition_drop must be a number from 0, not inf"),
        ("num_steps = 4\nbatch_size = 2\ncrop", "num_steps = inf\nbatch_size = 2\ncrop", "num_steps must be a whole"),
        ("decay_from = 0.5", "decay_from = 1.5", "decay_from, ema and betas are shares"),
        ("crop = 32", 'crop = "a"', "crop must be a whole number from 0, not 'a'"),
        ("is_compiled = false", "is_compiled = 0", "is_compiled must be true or false, not 0"),
        ("betas = [0.9, 0.98]", "betas = [0.9]", "betas must be 2 numbers"),
        ("condition_drop = 0.1", "condition_drop = -1", "condition_drop must be a number from 0, not -1"),
        ('variant = "demo"', 'variant = "xxl"', "--variant must be one of b, demo, l, s, tiny, xl, not xxl"),
        ("[denoiser]", "[denoiser", "toy.toml:"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = write_recipe(tmp_path / "toy.toml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    with pytest.raises(InputError) as caught:
        read_recipe(str(path))

    assert words in str(caught.value)


def test_a_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(InputError, match="--config is demo, paper or a file"):
        read_recipe("none.toml")


def test_the_papers_recipe_needs_a_size() -> None:
    with pytest.raises(InputError, match="which the recipe leaves open"):
        read_recipe("paper")
