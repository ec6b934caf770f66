"""The graph `tdnet_step`: one step of the sampler, guidance included, for a batch whose rows need not be in step.

Does not make coefficient rows or guidance weights (`xmdpt.sampler`, `xmdpt.guidance`).
"""

import copy

import torch
from torch import Tensor, nn

from xmdpt.nn.layers import FinalLayer
from xmdpt.nn.pipeline import Networks
from xmdpt.nn.tdnet import TDNet
from xmdpt.spec import LATENT_SHAPE


class TdnetStepGraph(nn.Module):
    """TDNet on a conditional and an unconditional row per picture, their weighted difference, and the update rule."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.tdnet = _folded(networks.xmdpt.tdnet)

    def forward(
        self,
        latents: Tensor,
        previous_denoised: Tensor,
        condition: Tensor,
        timestep: Tensor,
        guidance: Tensor,
        coefficients: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Advance each row by its own step.

        Args:
            latents: [B, 4, 32, 32], scaled.
            previous_denoised: [B, 4, 32, 32], `denoised` of the row's last step; zeros at its first.
            condition: [B, D].
            timestep: [B, 1], 0..999.
            guidance: [B, 1], weight of the conditional prediction.
            coefficients: [B, 5], the row [a, b, c, p, q].

        Returns:
            next_latents and denoised, both [B, 4, 32, 32].
        """
        prediction = self.tdnet(
            torch.cat([latents, latents]),
            torch.cat([timestep, timestep]).squeeze(1),
            torch.cat([condition, torch.zeros_like(condition)]),
        )
        conditional, unconditional = prediction.unflatten(0, (2, -1)).unbind(0)
        prediction = unconditional + guidance[:, :, None, None] * (conditional - unconditional)
        a, b, c, p, q = coefficients[:, :, None, None, None].unbind(1)
        denoised = p * latents + q * prediction
        return a * latents + b * denoised + c * previous_denoised, denoised


def _folded(tdnet: TDNet) -> TDNet:
    """A TDNet that shares all weights, holds its position biases as constants and predicts no variance."""
    shared = {id(parameter): parameter for parameter in tdnet.parameters()}
    folded = copy.deepcopy(tdnet, memo=shared)
    for index in range(len(folded.blocks)):
        name = f"blocks.{index}.attn.bias"
        folded.set_submodule(name, _Constant(folded.get_submodule(name)()))
    folded.final_layer.linear = _without_variance(folded.final_layer)
    return folded


def _without_variance(layer: FinalLayer) -> nn.Linear:
    """The layer's linear map cut to the channels of the prediction, which stand first in every cell of a patch."""
    outputs = torch.arange(layer.linear.out_features).unflatten(0, (-1, 2 * LATENT_SHAPE[0]))
    kept = outputs[:, : LATENT_SHAPE[0]].flatten()
    linear = nn.Linear(layer.linear.in_features, len(kept))
    linear.weight = nn.Parameter(layer.linear.weight[kept], requires_grad=False)
    linear.bias = nn.Parameter(layer.linear.bias[kept], requires_grad=False)
    return linear


class _Constant(nn.Module):
    """A module without inputs whose output was computed once."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value.detach().contiguous())

    def forward(self) -> Tensor:
        return self.value
