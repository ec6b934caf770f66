"""The comparison with torch is worth something: each planted mistake is over the bound."""

from pathlib import Path

import numpy as np
import pytest

from export.manifest import read_manifest
from tests.export import planted_mistakes as planted
from tests.export.checks import graph_errors
from tests.export.planted_mistakes import Mistake
from tests.export.repository_edits import edit_graph
from xmdpt.nn.pipeline import Pipeline

BLUE_FIRST = [2, 1, 0]

MISTAKES: dict[str, tuple[str, Mistake]] = {
    "guidance swapped": ("tdnet_step", planted.swap_guidance),
    "coefficients reordered": (
        "tdnet_step",
        planted.changed_input("coefficients", "Gather", [1, 0, 2, 3, 4], np.int64, axis=1),
    ),
    "p and q swapped": (
        "tdnet_step",
        planted.changed_input("coefficients", "Gather", [0, 1, 2, 4, 3], np.int64, axis=1),
    ),
    "position bias dropped": ("tdnet_step", planted.changed_weights(".attn.bias.", np.zeros_like)),
    "position bias transposed": ("tdnet_step", planted.changed_weights(".attn.bias.", lambda v: v.swapaxes(1, 2))),
    "one bias dropped": ("tdnet_step", planted.changed_weights("blocks.3.attn.bias.", np.zeros_like)),
    "decoder positions dropped": ("tdnet_step", planted.changed_weights("decoder_positions", np.zeros_like)),
    "timestep off by one": ("tdnet_step", planted.changed_input("timestep", "Add", 1)),
    "cosines and sines swapped": ("tdnet_step", planted.swap_cosines_and_sines),
    "latents swapped": ("tdnet_step", planted.swap_latents),
    "outputs swapped": ("tdnet_step", planted.swap_outputs),
    "a plan's timesteps off by one": ("sampler", planted.changed_input("timesteps", "Add", 1)),
    "a plan's guidance doubled": ("sampler", planted.changed_input("guidance", "Mul", 2)),
    "a plan's p and q swapped": (
        "sampler",
        planted.changed_input("coefficients", "Gather", [0, 1, 2, 4, 3], np.int64, axis=2),
    ),
    "no memory in the loop": ("sampler", planted.forget_in_the_loop),
    "a step too few": ("sampler", planted.stop_a_step_early),
    "pose ignored": ("canet", planted.ignore_the_pose),
    "skeleton blue first": ("pose_encoder", planted.changed_input("skeleton", "Gather", BLUE_FIRST, np.int64, axis=3)),
    "skeleton not brightened": ("pose_encoder", planted.divide_by_255),
    "photo blue first": ("source_encoder", planted.changed_input("photo", "Gather", BLUE_FIRST, np.int64, axis=3)),
    "latents scaled twice": ("vae_decoder", planted.changed_input("latents", "Div", 0.18215)),
    "not a number": ("canet", planted.not_a_number),
}


@pytest.mark.parametrize(("graph", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_comparison_when_a_mistake_is_planted_then_over_the_bound(
    repository: Path, tiny: Pipeline, graph: str, mistake: Mistake
) -> None:
    edit_graph(repository, graph, mistake)
    read_manifest(repository)

    rows = graph_errors(repository, lambda: tiny, batch_sizes=(2,), graphs=(graph,))

    assert any(not row.is_within_tolerance for row in rows)
