"""Inference as the released code structures it, with our networks' weights and in the runtime of our graphs.

Each forward runs every block on the source's tokens too, returns them, and makes the condition anew from the features;
each step is two forwards, without and with the condition; guidance weighs all eight channels, and the update of the
latents stands outside of the graph. The features of the two extractors are given, as they are there.

Left to the runtime are the folds that it finds by itself, of position biases above all. Unlike the released code it
keeps the batch axis where it pools tokens.

Source:
    trungpx/xmdpt@8397056.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
from torch import Tensor, nn

from benchmarks.graphs import Float32
from export.to_onnx import to_onnx
from xmdpt.guidance import guidance_weights
from xmdpt.nn.network import XMDPT
from xmdpt.nn.pipeline import Pipeline
from xmdpt.nn.tdnet import NUM_DECODER_BLOCKS
from xmdpt.noise_schedule import cumulative_alphas, kept_timesteps
from xmdpt.spec import LATENT_SHAPE, GraphSpec, TensorSpec, Variant

Forward = Callable[..., list[Float32]]
"""Inputs by their names to outputs in order."""


class PublishedForward(nn.Module):
    """One forward. Shares all weights with the network that it is made of."""

    def __init__(self, network: XMDPT) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        pose_tokens: Tensor,
        photo_tokens: Tensor,
        source_latents: Tensor,
        is_kept: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Run both streams.

        Args:
            latents: [B, 4, 32, 32], scaled.
            timestep: [B, 1], 0..999.
            pose_tokens: [B, N, Wp], the skeleton's features.
            photo_tokens: [B, N, Ws], the photo's.
            source_latents: [B, 4, 32, 32], scaled, of the photo.
            is_kept: [B, 1], 1 with the condition, 0 without.

        Returns:
            The prediction and the variance [B, 8, 32, 32], and the source's tokens [B, T, D] behind the last block.
        """
        tdnet, canet = self.network.tdnet, self.network.canet
        tokens, source_tokens = tdnet.latent_embedder(latents), tdnet.latent_embedder(source_latents)
        source_vector = canet.source_vector(photo_tokens, source_tokens)
        condition = canet.condition(source_vector, canet.pose_vector(pose_tokens))
        control = tdnet.control(timestep.squeeze(1), condition * is_kept)
        tokens = tdnet.encode(tokens, control) + tdnet.decoder_positions
        source_tokens = tdnet.encode(source_tokens, control)
        for block in tdnet.blocks[-NUM_DECODER_BLOCKS:]:
            source_tokens = block(source_tokens, control)
        return tdnet.decode(tokens, control), source_tokens


def feature_specs(variant: Variant) -> tuple[TensorSpec, ...]:
    """What a condition is made of."""
    pose, photo = variant.pose_extractor, variant.photo_extractor
    return (
        TensorSpec("pose_tokens", "f32", (pose.num_tokens, pose.width)),
        TensorSpec("photo_tokens", "f32", (photo.num_tokens, photo.width)),
        TensorSpec("source_latents", "f32", LATENT_SHAPE),
    )


@cache
def published_model(networks: Pipeline) -> onnx.ModelProto:
    """One forward, exported as our own graphs are."""
    variant, (channels, *size) = networks.variant, LATENT_SHAPE
    spec = GraphSpec(
        "published_forward",
        (
            TensorSpec("latents", "f32", LATENT_SHAPE),
            TensorSpec("timestep", "f32", (1,)),
            *feature_specs(variant),
            TensorSpec("is_kept", "f32", (1,)),
        ),
        (
            TensorSpec("prediction", "f32", (2 * channels, *size)),
            TensorSpec("source_tokens", "f32", (variant.num_tokens, variant.width)),
        ),
    )
    return to_onnx(PublishedForward(networks.xmdpt), spec)


def published_run(
    forward: Forward, noise: Float32, features: dict[str, Float32], num_steps: int, guidance: float
) -> Float32:
    """Return the latents [1, 4, 32, 32] behind a run of DDIM, written from its formula.

    Args:
        forward: `published_model` or the module itself, of a variant that predicts noise.
        noise: [1, 4, 32, 32], standard normal.
        features: an array for each of `feature_specs`.
        num_steps: 2..1000.
        guidance: scale, 1 for none.
    """
    timesteps, latents = kept_timesteps(num_steps), noise
    kept = cumulative_alphas()[timesteps]
    # Tables are made in float64 and used in float32.
    tables = (timesteps, guidance_weights(timesteps, guidance), kept, np.append(kept[1:], 1.0))
    for timestep, weight, alpha_bar, next_alpha_bar in zip(*(t.astype(np.float32) for t in tables), strict=True):
        conditional, unconditional = (
            forward(latents=latents, timestep=np.full((1, 1), timestep), is_kept=is_kept, **features)[0]
            for is_kept in (np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))
        )
        guided = unconditional + weight * (conditional - unconditional)
        predicted = guided[:, : LATENT_SHAPE[0]]
        denoised = np.sqrt(1 / alpha_bar) * latents - np.sqrt(1 / alpha_bar - 1) * predicted
        latents = np.sqrt(next_alpha_bar) * denoised + np.sqrt(1 - next_alpha_bar) * predicted
    return latents
