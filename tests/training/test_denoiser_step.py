"""What one step of the denoiser's training touches, and what it does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from xmdpt.nn.conv_extractor import ConvExtractor
from xmdpt.nn.pipeline import build_pipeline
from xmdpt.spec import VARIANTS, ConvExtractorConfig, Variant
from xmdpt.training.batches import Batch
from xmdpt.training.denoiser import DenoiserConfig, DenoiserTask
from xmdpt.training.loop import Look
from xmdpt.training.optimisation import OptimiserConfig
from xmdpt.training.preparation import Preparation

STEADY = OptimiserConfig(1e-3, (0.9, 0.999), 0.0, 0, 1.0, 0.0, 0.9)


class Fixed:
    """The same pairs at every step."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def batch(self, index: int, size: int) -> Batch:
        return self._batch


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 256, 256, 3), dtype=np.uint8)


def task_of(variant: Variant, config: DenoiserConfig) -> DenoiserTask:
    pipeline = build_pipeline(variant)
    torch.manual_seed(0)
    preparation = Preparation(variant, pipeline.vae, pipeline.pose_extractor, pipeline.photo_extractor)
    batch = preparation.batch(pictures(2), pictures(2)[::-1].copy(), pictures(2), torch.Generator().manual_seed(1))

    def extractors() -> tuple[torch.nn.Module, torch.nn.Module]:
        if isinstance(variant.pose_extractor, ConvExtractorConfig):
            return ConvExtractor(variant.pose_extractor), ConvExtractor(variant.pose_extractor)
        return torch.nn.Identity(), torch.nn.Identity()

    return DenoiserTask(variant, config, extractors, Fixed(batch), lambda _: Look({}, None), lambda _: None, seed=1)  # type: ignore[arg-type]


def config(num_steps: int = 1, variance_weight: float = 0.0, masked_from: float = 0.0) -> DenoiserConfig:
    """Two pairs, no condition dropped, since both might be."""
    return DenoiserConfig(num_steps, 2, 0.0, variance_weight, masked_from, False, 2, 1, STEADY)


def disturb(task: DenoiserTask) -> dict[str, Tensor]:
    """Open the gates, which begin at zero and would keep gradients from what is behind them; return all weights."""
    with torch.no_grad():
        for parameter in task.denoiser.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)), alpha=0.05)
    return {name: value.clone() for name, value in task.denoiser.state_dict().items()}


@pytest.mark.parametrize("name", ["tiny", "demo"])
def test_one_step_moves_every_trained_parameter(name: str) -> None:
    task = task_of(VARIANTS[name], config(variance_weight=1.0))
    before = disturb(task)

    losses = task.step(0)

    assert losses.keys() == {"plain", "masked"}
    unmoved = [n for n, p in task.denoiser.named_parameters() if torch.equal(p, before[n])]
    assert unmoved == []
    averages = {n: value for n, value in task.state().items() if n.startswith("ema/")}
    assert len(averages) == len(list(task.denoiser.parameters()))


def test_the_frozen_networks_of_the_papers_sizes_are_no_part_of_it() -> None:
    variant = VARIANTS["tiny"]
    pipeline = build_pipeline(variant)
    frozen = {name: value.clone() for name, value in pipeline.state_dict().items()}
    preparation = Preparation(variant, pipeline.vae, pipeline.pose_extractor, pipeline.photo_extractor)
    batch = preparation.batch(pictures(2), pictures(2), pictures(2))
    identity = torch.nn.Identity()
    task = DenoiserTask(
        variant, config(variance_weight=1.0), lambda: (identity, identity), Fixed(batch),
        lambda _: Look({}, None), lambda _: None, seed=1,  # type: ignore[arg-type]
    )  # fmt: skip

    task.step(0)

    assert all(torch.equal(value, frozen[name]) for name, value in pipeline.state_dict().items())
    assert not any("extractor" in name or "vae" in name for name in task.state())
    assert batch.skeleton.shape == (2, 257, variant.pose_extractor.width)


def test_the_masked_pass_joins_when_the_recipe_says() -> None:
    task = task_of(VARIANTS["tiny"], config(num_steps=4, masked_from=0.5))

    joined = ["masked" in task.step(index) for index in range(4)]

    assert joined == [False, False, True, True]


def test_a_few_steps_on_the_same_pairs_lower_the_loss() -> None:
    task = task_of(VARIANTS["demo"], config(num_steps=30, masked_from=1.0))

    losses = [float(task.step(index)["plain"]) for index in range(30)]

    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


def test_latents_are_drawn_for_the_papers_sizes_and_not_for_the_demo(tmp_path: Path) -> None:
    for name, is_drawn in {"tiny": True, "demo": False}.items():
        variant = VARIANTS[name]
        pipeline = build_pipeline(variant)
        preparation = Preparation(variant, pipeline.vae, pipeline.pose_extractor, pipeline.photo_extractor)
        first, second = (
            preparation.batch(pictures(1), pictures(1), pictures(1), torch.Generator().manual_seed(seed)).target
            for seed in (1, 2)
        )
        assert torch.equal(first, second) != is_drawn
