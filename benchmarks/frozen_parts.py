"""What stands around the denoiser at the paper's sizes: extractors and autoencoder, part by part."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial

import numpy as np
import onnx
from torch import Tensor, nn

from benchmarks.graphs import Graph, decoder_graph, untrained
from export.graphs.vae_decoder import VaeDecoderGraph
from export.to_onnx import to_onnx
from export.verify import torch_runner
from xmdpt.graph_session import Device
from xmdpt.nn.pipeline import Extractor, Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.repository import Precision
from xmdpt.sampler import initial_noise
from xmdpt.spec import IMAGE_SIZE, LATENT_SHAPE, VARIANTS, Dinov2Config, GraphSpec, TensorSpec, Variant

PHOTO, POSE, ENCODER, DECODER = "photo extractor", "pose extractor", "encoder", "decoder"
"""Parts: the photo's extractor by a share of its blocks, the pose's, and both halves of the autoencoder."""

SHARE_OF_BLOCKS = 10
"""As many times PHOTO is the whole extractor, whose weights would take 4.5 GB."""


class _Tokens(nn.Module):
    """An extractor alone."""

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, picture: Tensor) -> Tensor:
        return self.extractor(self.extractor.shrink(picture))


class _Latents(nn.Module):
    """The autoencoder's encoder alone."""

    def __init__(self, networks: Pipeline) -> None:
        super().__init__()
        self.vae = networks.vae

    def forward(self, picture: Tensor) -> Tensor:
        return self.vae.encode_mode(picture)


def frozen_networks(variant: Variant) -> Pipeline:
    """Autoencoder and extractors of a variant with weights by rule, of the photo's extractor some blocks only."""
    if variant.name == "tiny":
        return untrained("tiny")
    photo = variant.photo_extractor
    assert isinstance(photo, Dinov2Config)
    networks = build_pipeline(
        replace(
            VARIANTS["tiny"],
            vae=variant.vae,
            pose_extractor=variant.pose_extractor,
            photo_extractor=replace(photo, depth=photo.depth // SHARE_OF_BLOCKS),
        )
    )
    fill_untrained(networks)
    return networks


def part_runs(
    frozen: Pipeline, precision: Precision | None, device: Device = "cpu"
) -> Mapping[str, Callable[[], object]]:
    """A run of each part for one picture; on the CPU in one thread.

    Args:
        frozen: of `frozen_networks`.
        precision: of graphs; None is torch in float32.
        device: of graphs.
    """
    latents = initial_noise(0)[None]
    picture = np.random.default_rng(0).standard_normal((1, 3, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    if precision is None:
        in_torch = {part: torch_runner(module.eval()) for part, module in _encoders(frozen).items()}
        decoder = torch_runner(VaeDecoderGraph(frozen).eval())
        runs = {part: partial(run, {"picture": picture}) for part, run in in_torch.items()}
        return {**runs, DECODER: partial(decoder, {"latents": latents})}
    runs = {
        part: partial(Graph(model, device), picture=picture)
        for part, model in _encoder_models(frozen, precision).items()
    }
    return {**runs, DECODER: partial(decoder_graph(frozen, precision, device), latents=latents)}


def _encoders(frozen: Pipeline) -> Mapping[str, nn.Module]:
    return {
        PHOTO: _Tokens(frozen.photo_extractor),
        POSE: _Tokens(frozen.pose_extractor),
        ENCODER: _Latents(frozen),
    }


@cache
def _encoder_models(frozen: Pipeline, precision: Precision) -> Mapping[str, onnx.ModelProto]:
    pose, photo = frozen.variant.pose_extractor, frozen.variant.photo_extractor
    takes = (TensorSpec("picture", "f32", (3, IMAGE_SIZE, IMAGE_SIZE)),)
    gives = {
        PHOTO: TensorSpec("photo_tokens", "f32", (photo.num_tokens, photo.width)),
        POSE: TensorSpec("pose_tokens", "f32", (pose.num_tokens, pose.width)),
        ENCODER: TensorSpec("mode", "f32", LATENT_SHAPE),
    }
    return {
        part: to_onnx(module, GraphSpec("part", takes, (gives[part],)), precision=precision)
        for part, module in _encoders(frozen).items()
    }
