"""The published structure computes what ours does, and does all of the work that ours leaves out."""

import numpy as np
import pytest
import torch

from benchmarks.graphs import Graph, untrained
from benchmarks.published_structure import PublishedForward, feature_specs, published_model, published_run
from export.flops import matrix_flops, needed_flops
from xmdpt.nn.pipeline import Pipeline
from xmdpt.nn.reference import ddim_steps, guided
from xmdpt.noise_schedule import kept_timesteps
from xmdpt.sampler import initial_noise
from xmdpt.spec import VARIANTS, Variant

MAX_RELATIVE_ERROR = 1e-5


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    return untrained("tiny")


def features_of(variant: Variant, rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    return {spec.name: generator.standard_normal(spec.sizes(rows), np.float32) for spec in feature_specs(variant)}


def condition_of(networks: Pipeline, features: dict[str, np.ndarray]) -> torch.Tensor:
    pose, photo, source = (torch.from_numpy(array) for array in features.values())
    network = networks.xmdpt
    return network.canet.condition(network.source_vector(photo, source), network.canet.pose_vector(pose))


@pytest.mark.parametrize("is_kept", [0.0, 1.0])
@pytest.mark.parametrize("rows", [1, 3])
def test_forward_when_run_then_all_eight_channels_are_those_of_tdnet(tiny: Pipeline, rows: int, is_kept: float) -> None:
    features = features_of(tiny.variant, rows)
    latents = torch.from_numpy(np.stack([initial_noise(seed) for seed in range(rows)]))
    timestep = torch.linspace(900, 30, rows)[:, None]

    with torch.inference_mode():
        found, source_tokens = PublishedForward(tiny.xmdpt)(
            latents, timestep, *map(torch.from_numpy, features.values()), torch.full((rows, 1), is_kept)
        )
        wanted = tiny.xmdpt.tdnet(latents, timestep.squeeze(1), condition_of(tiny, features) * is_kept)

    torch.testing.assert_close(found, wanted, rtol=0, atol=float(wanted.abs().max()) * MAX_RELATIVE_ERROR)
    assert source_tokens.shape == (rows, tiny.variant.num_tokens, tiny.variant.width)


def test_graph_when_exported_then_it_runs_both_streams_and_canet(tiny: Pipeline) -> None:
    model = published_model(tiny)
    variant = tiny.variant
    # The products of tokens; the modulation of the second stream may be the first one's.
    blocks = variant.depth * (24 * 256 * variant.width**2 + 4 * 256**2 * variant.width)

    flops = matrix_flops(model, 1)

    assert [output.name for output in model.graph.output] == ["prediction", "source_tokens"]
    assert flops > needed_flops(variant) + blocks + 2 * 257 * variant.width * (192 + 192)
    assert flops < 2.2 * needed_flops(variant)


def test_run_when_done_then_latents_are_those_of_the_reference_loop(tiny: Pipeline) -> None:
    features, noise = features_of(tiny.variant, 1), initial_noise(3)[None]

    found = published_run(Graph(published_model(tiny)), noise, features, 5, 2.0)

    with torch.inference_mode():
        predict = guided(tiny.xmdpt.tdnet, condition_of(tiny, features), 2.0)
        *_, (wanted, _) = ddim_steps(predict, torch.from_numpy(noise), kept_timesteps(5).tolist())
    assert found.dtype == np.float32
    assert np.abs(found - wanted.numpy()).max() <= MAX_RELATIVE_ERROR * np.abs(found).max()


def test_networks_when_a_size_of_the_paper_is_measured_then_denoiser_and_features_have_its_shapes() -> None:
    ours, paper = untrained("s").variant, VARIANTS["s"]

    assert (ours.depth, ours.width, ours.heads, ours.patch) == (paper.depth, paper.width, paper.heads, paper.patch)
    assert feature_specs(ours) == feature_specs(paper)
