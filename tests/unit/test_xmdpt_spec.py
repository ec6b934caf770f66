"""The contract of the graphs and the sizes of the variants are those that the model was specified with."""

import dataclasses

import pytest

from xmdpt.spec import (
    IMAGE_SIZE,
    LATENT_SHAPE,
    NUM_KEY_POINTS,
    NUM_TRAIN_TIMESTEPS,
    VARIANTS,
    ConvExtractorConfig,
    Dinov2Config,
    PatchVaeConfig,
    VaeConfig,
    ensemble_spec,
    graph_specs,
    low_specs,
)

PICTURE, LATENTS = (256, 256, 3), (4, 32, 32)
PLAN = [("timesteps", "f32", ("steps",)), ("guidance", "f32", ("steps",)), ("coefficients", "f32", ("steps", 5))]


def arrays(tensors: tuple) -> list[tuple]:
    return [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors]


@pytest.mark.parametrize(
    ("name", "width"), [("tiny", 64), ("demo", 256), ("s", 384), ("b", 768), ("l", 1024), ("xl", 1152)]
)
def test_contract_when_read_then_names_types_and_shapes_are_those_agreed(name: str, width: int) -> None:
    graphs = graph_specs(VARIANTS[name])

    assert {key: spec.name for key, spec in graphs.items()} == {key: key for key in graphs}
    assert {key: (arrays(spec.inputs), arrays(spec.outputs)) for key, spec in graphs.items()} == {
        "source_encoder": ([("photo", "u8", PICTURE)], [("source_vector", "f32", (width,))]),
        "pose_encoder": ([("skeleton", "u8", PICTURE)], [("pose_vector", "f32", (width,))]),
        "canet": (
            [("source_vector", "f32", (width,)), ("pose_vector", "f32", (width,))],
            [("condition", "f32", (width,))],
        ),
        "tdnet_step": (
            [
                ("latents", "f32", LATENTS),
                ("previous_denoised", "f32", LATENTS),
                ("condition", "f32", (width,)),
                ("timestep", "f32", (1,)),
                ("guidance", "f32", (1,)),
                ("coefficients", "f32", (5,)),
            ],
            [("next_latents", "f32", LATENTS), ("denoised", "f32", LATENTS)],
        ),
        "sampler": (
            [("noise", "f32", LATENTS), ("condition", "f32", (width,)), *PLAN],
            [("latents", "f32", LATENTS)],
        ),
        "vae_decoder": ([("latents", "f32", LATENTS)], [("image", "u8", PICTURE)]),
    }


def test_ensemble_when_read_then_pictures_noise_and_a_plan_become_a_picture() -> None:
    ensemble = ensemble_spec()

    assert ensemble.name == "xmdpt"
    assert arrays(ensemble.inputs) == [
        ("photo", "u8", PICTURE),
        ("skeleton", "u8", PICTURE),
        ("noise", "f32", LATENTS),
        *PLAN,
    ]
    assert arrays(ensemble.outputs) == [("image", "u8", PICTURE)]


def test_contract_when_listed_then_in_the_order_of_a_request() -> None:
    order = ["source_encoder", "pose_encoder", "canet", "tdnet_step", "sampler", "vae_decoder"]
    assert list(graph_specs(VARIANTS["tiny"])) == order


@pytest.mark.parametrize("name", ["tdnet_step", "vae_decoder"])
def test_low_graph_when_read_then_it_takes_and_gives_what_the_other_does(name: str) -> None:
    low, usual = low_specs(VARIANTS["s"])[f"{name}_low"], graph_specs(VARIANTS["s"])[name]
    assert (low.name, low.inputs, low.outputs) == (f"{name}_low", usual.inputs, usual.outputs)


@pytest.mark.parametrize(
    ("name", "depth", "width", "heads"),
    [("tiny", 4, 64, 1), ("s", 12, 384, 6), ("b", 12, 768, 12), ("l", 24, 1024, 16), ("xl", 28, 1152, 16)],
)
def test_variant_when_read_then_the_stated_size(name: str, depth: int, width: int, heads: int) -> None:
    variant = VARIANTS[name]
    assert (variant.name, variant.depth, variant.width, variant.heads) == (name, depth, width, heads)
    assert (variant.patch, variant.grid, variant.num_tokens) == (2, 16, 256)
    assert (variant.latent_scale, variant.prediction) == (0.18215, "epsilon")


def test_demo_when_read_then_the_size_that_was_trained() -> None:
    demo = VARIANTS["demo"]

    assert (demo.depth, demo.width, demo.heads) == (6, 256, 4)
    assert (demo.patch, demo.grid, demo.num_tokens) == (4, 8, 64)
    assert (demo.latent_scale, demo.prediction) == (1.0, "v")
    assert demo.pose_extractor == demo.photo_extractor == ConvExtractorConfig(width=128, inner=96, num_tokens=64)
    assert demo.vae == PatchVaeConfig(fine=64, coarse=128)


def test_variants_when_listed_then_tiny_the_demo_and_the_papers() -> None:
    assert list(VARIANTS) == ["tiny", "demo", "s", "b", "l", "xl"]


def test_tiny_when_read_then_every_network_is_of_the_same_kind_and_small() -> None:
    tiny, s = VARIANTS["tiny"], VARIANTS["s"]

    for extractor, larger in ((tiny.pose_extractor, s.pose_extractor), (tiny.photo_extractor, s.photo_extractor)):
        assert isinstance(extractor, Dinov2Config)
        assert isinstance(larger, Dinov2Config)
        assert (extractor.depth, extractor.width, extractor.heads) == (2, 192, 3)
        assert extractor.ffn == larger.ffn
    assert isinstance(tiny.vae, VaeConfig)
    assert (tiny.vae.block_channels, tiny.vae.layers_per_block, tiny.vae.groups) == ((32, 32, 64, 64), 1, 16)


@pytest.mark.parametrize("name", ["s", "b", "l", "xl"])
def test_papers_variant_when_read_then_its_frozen_networks_are_the_published_ones(name: str) -> None:
    pose, photo, vae = (getattr(VARIANTS[name], part) for part in ("pose_extractor", "photo_extractor", "vae"))
    assert dataclasses.astuple(pose) == (768, 12, 12, "mlp", 257)
    assert dataclasses.astuple(photo) == (1536, 40, 24, "swiglu", 257)
    assert dataclasses.astuple(vae) == ((128, 256, 512, 512), 2, 32)


def test_constants_when_read_then_the_models() -> None:
    assert (IMAGE_SIZE, LATENT_SHAPE, NUM_KEY_POINTS, NUM_TRAIN_TIMESTEPS) == (256, LATENTS, 18, 1000)


def test_variants_when_written_to_then_refused() -> None:
    with pytest.raises(TypeError):
        VARIANTS["tiny"] = VARIANTS["s"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        VARIANTS["tiny"].width = 65  # type: ignore[misc]
