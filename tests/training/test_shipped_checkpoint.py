"""The shipped weights on persons that they were not trained on."""

import numpy as np
import pytest
import torch

from xmdpt.nn.pipeline import Pipeline
from xmdpt.persons.domain import DEMO
from xmdpt.training.denoiser import Denoiser
from xmdpt.training.held_out import HeldOut
from xmdpt.training.pairs import PairsOnTheFly
from xmdpt.training.preparation import Preparation

NUM_PAIRS = 32
FIRST = 50_000


@pytest.fixture(scope="module")
def figures(shipped_pipeline: Pipeline) -> dict[str, float]:
    """What training looks at, of the shipped weights."""
    variant = shipped_pipeline.variant
    denoiser = Denoiser(variant, shipped_pipeline.pose_extractor, shipped_pipeline.photo_extractor)
    missing, unexpected = denoiser.xmdpt.load_state_dict(shipped_pipeline.xmdpt.state_dict(), strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"mipnet"}
    pairs = PairsOnTheFly(NUM_PAIRS, DEMO, "held_out", seed=FIRST)
    stacked = [
        np.stack([pair[field].numpy() for pair in map(pairs.__getitem__, range(NUM_PAIRS))]) for field in (0, 1, 2)
    ]
    extractors = (shipped_pipeline.pose_extractor, shipped_pipeline.photo_extractor)
    preparation = Preparation(variant, shipped_pipeline.vae, *extractors)
    with torch.inference_mode():
        return dict(HeldOut(variant, preparation, shipped_pipeline.vae, *stacked, num_drawn=4).look(denoiser).figures)


def test_a_wrong_pose_raises_the_error(figures: dict[str, float]) -> None:
    assert figures["x0_950_other_pose"] > 1.5 * figures["x0_950"]


def test_pictures_are_nearer_to_the_truth_than_the_mean_picture_is(figures: dict[str, float]) -> None:
    # Predicting the mean of all latents, whose deviation is 1, would be off by 1.
    assert figures["x0_950"] < 0.5
    assert figures["psnr"] > 15
