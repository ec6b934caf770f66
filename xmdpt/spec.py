"""The constants of the model: its variants, and the name, type and shape of every array of every graph.

Does not hold the noise schedule (`xmdpt.noise_schedule`) nor any code that computes; needs the standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

IMAGE_SIZE = 256
"""Side of every picture, in px: photo, skeleton and result are squares (a 256:176 photo is stretched to one)."""

NATURAL_SIZE = (176, 256)
"""Width and height, in px, of the photos that are stretched to these squares: DeepFashion's."""

LATENT_SHAPE = (4, 32, 32)
"""Channels, rows and columns of one picture in VAE space."""

NUM_KEY_POINTS = 18
"""Key points of a pose in OpenPose (COCO-18) order.

0 nose, 1 neck, 2-4 right shoulder, elbow, wrist, 5-7 left, 8-10 right hip, knee, ankle, 11-13 left, 14 right eye,
15 left eye, 16 right ear, 17 left ear.
"""

NUM_TRAIN_TIMESTEPS = 1000
"""Timesteps of the training's noise schedule; TDNet is told one of 0..999."""

STEPS_AXIS = "steps"
"""Stands in a shape for the number of denoising steps, which a call decides."""

ENSEMBLE = "xmdpt"
"""Triton's name for all graphs in a row: `ensemble_spec`."""

LOW_STEP, LOW_DECODER = "tdnet_step_low", "vae_decoder_low"
LOW_GRAPHS: Mapping[str, str] = MappingProxyType({LOW_STEP: "tdnet_step", LOW_DECODER: "vae_decoder"})
"""The graphs in low precision, which not every repository has, and what each of them stands in for."""

Dtype = Literal["u8", "f32"]
Prediction = Literal["epsilon", "v", "x0"]


@dataclass(frozen=True)
class Dinov2Config:
    """Shape of one DINOv2 extractor: patches of 14 px of a 224 px picture, so 1 + 256 tokens of `width` numbers.

    Source:
        facebookresearch/dinov2@b8931f7, hub models without registers.
    """

    width: int
    depth: int
    heads: int
    ffn: Literal["mlp", "swiglu"]
    num_tokens: int = 257


@dataclass(frozen=True)
class ConvExtractorConfig:
    """Shape of the demo's extractors: a convolutional network over the picture shrunk to 64 px, trained with TDNet.

    `inner` channels on a grid of 16 x 16, then `width` on one of 8 x 8, whose cells are the tokens.
    """

    width: int
    inner: int
    num_tokens: int = 64


@dataclass(frozen=True)
class VaeConfig:
    """Shape of one autoencoder with 4 latent channels and a factor of 8 between pixels and latents.

    Source:
        diffusers `AutoencoderKL`; sd-vae-ft-mse is the one of s, b and l.
    """

    block_channels: tuple[int, ...]
    layers_per_block: int
    groups: int


@dataclass(frozen=True)
class PatchVaeConfig:
    """Shape of the demo's autoencoder, with the same latents: it looks at patches of 4 px, which a CPU can train.

    `fine` channels on a grid of 64 x 64, `coarse` on one of 32 x 32.
    """

    fine: int
    coarse: int


@dataclass(frozen=True)
class Variant:
    """One size of the model with all that belongs to it; the architecture is the same in all of them.

    `latent_scale` multiplies what the VAE encodes and divides what it decodes; `prediction` is what channels 0-3 of
    TDNet's output mean.
    """

    name: str
    depth: int
    width: int
    heads: int
    pose_extractor: Dinov2Config | ConvExtractorConfig
    photo_extractor: Dinov2Config | ConvExtractorConfig
    vae: VaeConfig | PatchVaeConfig
    latent_scale: float = 0.18215
    patch: int = 2
    prediction: Prediction = "epsilon"

    @property
    def grid(self) -> int:
        """Latent patches along one side of the picture."""
        return LATENT_SHAPE[1] // self.patch

    @property
    def num_tokens(self) -> int:
        """Latent patches of one picture: what TDNet's blocks attend over."""
        return self.grid**2


_DINOV2_B = Dinov2Config(width=768, depth=12, heads=12, ffn="mlp")
_DINOV2_G = Dinov2Config(width=1536, depth=40, heads=24, ffn="swiglu")
_SD_VAE = VaeConfig(block_channels=(128, 256, 512, 512), layers_per_block=2, groups=32)


def _paper_variant(name: str, depth: int, width: int, heads: int) -> Variant:
    return Variant(name, depth, width, heads, pose_extractor=_DINOV2_B, photo_extractor=_DINOV2_G, vae=_SD_VAE)


_TINY = Variant(
    name="tiny",
    depth=4,
    width=64,
    heads=1,
    pose_extractor=Dinov2Config(width=192, depth=2, heads=3, ffn="mlp"),
    photo_extractor=Dinov2Config(width=192, depth=2, heads=3, ffn="swiglu"),
    vae=VaeConfig(block_channels=(32, 32, 64, 64), layers_per_block=1, groups=16),
)

_DEMO = Variant(
    name="demo",
    depth=6,
    width=256,
    heads=4,
    pose_extractor=ConvExtractorConfig(width=128, inner=96),
    photo_extractor=ConvExtractorConfig(width=128, inner=96),
    vae=PatchVaeConfig(fine=64, coarse=128),
    # Its autoencoder holds the statistics of each channel itself.
    latent_scale=1.0,
    patch=4,
    prediction="v",
)

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            _TINY,
            _DEMO,
            _paper_variant("s", depth=12, width=384, heads=6),
            _paper_variant("b", depth=12, width=768, heads=12),
            _paper_variant("l", depth=24, width=1024, heads=16),
            # In the official code, but without results in the paper.
            _paper_variant("xl", depth=28, width=1152, heads=16),
        )
    }
)
"""Every variant by its name.

`demo` is the one that we trained and ship; `tiny` is untrained, the paper's structure small enough to run everywhere;
the rest are the paper's.
"""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph.

    `shape` leaves out the batch axis, which always comes first; besides it only `STEPS_AXIS` may have any size.
    """

    name: str
    dtype: Dtype
    shape: tuple[int | str, ...]

    def sizes(self, batch_size: int, num_steps: int = 1) -> tuple[int, ...]:
        """The shape of one call's array, batch axis first."""
        return batch_size, *(num_steps if isinstance(size, str) else size for size in self.shape)


@dataclass(frozen=True)
class GraphSpec:
    """One exported network: its name and its inputs and outputs in order."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


_PLAN = (
    TensorSpec("timesteps", "f32", (STEPS_AXIS,)),
    TensorSpec("guidance", "f32", (STEPS_AXIS,)),
    TensorSpec("coefficients", "f32", (STEPS_AXIS, 5)),
)


def graph_specs(variant: Variant) -> Mapping[str, GraphSpec]:
    """Every graph of a variant by its name, in the order in which one request passes them.

    Pictures are u8 RGB 0..255, rows first. `latents` are scaled by `variant.latent_scale`. `timestep` is 0..999,
    `guidance` the weight of the conditional prediction (1 = conditional alone). `coefficients` is one row
    [a, b, c, p, q] of `xmdpt.sampler`: denoised = p * latents + q * prediction and
    next_latents = a * latents + b * denoised + c * previous_denoised.

    `sampler` is `tdnet_step` repeated, with one column of the plan each time: it stands in the place of all steps. Rows
    with fewer steps than the longest end in `xmdpt.sampler.IDENTITY_ROW`s, which change nothing.
    """
    picture = (IMAGE_SIZE, IMAGE_SIZE, 3)

    def vector(name: str) -> TensorSpec:
        return TensorSpec(name, "f32", (variant.width,))

    def latents(name: str) -> TensorSpec:
        return TensorSpec(name, "f32", LATENT_SHAPE)

    graphs = (
        GraphSpec("source_encoder", (TensorSpec("photo", "u8", picture),), (vector("source_vector"),)),
        GraphSpec("pose_encoder", (TensorSpec("skeleton", "u8", picture),), (vector("pose_vector"),)),
        GraphSpec("canet", (vector("source_vector"), vector("pose_vector")), (vector("condition"),)),
        GraphSpec(
            "tdnet_step",
            (
                latents("latents"),
                latents("previous_denoised"),
                vector("condition"),
                TensorSpec("timestep", "f32", (1,)),
                TensorSpec("guidance", "f32", (1,)),
                TensorSpec("coefficients", "f32", (5,)),
            ),
            (latents("next_latents"), latents("denoised")),
        ),
        GraphSpec("sampler", (latents("noise"), vector("condition"), *_PLAN), (latents("latents"),)),
        GraphSpec("vae_decoder", (latents("latents"),), (TensorSpec("image", "u8", picture),)),
    )
    return MappingProxyType({graph.name: graph for graph in graphs})


def low_specs(variant: Variant) -> Mapping[str, GraphSpec]:
    """The graphs in low precision, which a repository may hold beside the others: they take and give what those do."""
    specs = graph_specs(variant)
    return {low: replace(specs[graph], name=low) for low, graph in LOW_GRAPHS.items()}


def ensemble_spec() -> GraphSpec:
    """The graph that Triton makes of all others but the steps and the low ones: pictures in, picture out."""
    picture = (IMAGE_SIZE, IMAGE_SIZE, 3)
    return GraphSpec(
        ENSEMBLE,
        (
            TensorSpec("photo", "u8", picture),
            TensorSpec("skeleton", "u8", picture),
            TensorSpec("noise", "f32", LATENT_SHAPE),
            *_PLAN,
        ),
        (TensorSpec("image", "u8", picture),),
    )
