"""The graph `sampler`: `tdnet_step` once for each column of a plan, the whole run of a batch in one call.

Here is what it computes, in torch; the exported graph is `export.loop`'s, because torch's exporter fixes the number of
steps or the batch size of any loop.
"""

import torch
from torch import Tensor, nn

from export.graphs.tdnet_step import TdnetStepGraph
from xmdpt.nn.pipeline import Networks


class SamplerGraph(nn.Module):
    """From noise to latents, each row by its own plan."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.step = TdnetStepGraph(networks)

    def forward(
        self, noise: Tensor, condition: Tensor, timesteps: Tensor, guidance: Tensor, coefficients: Tensor
    ) -> Tensor:
        """Run all steps.

        Args:
            noise: [B, 4, 32, 32], standard normal.
            condition: [B, D].
            timesteps: [B, K], 0..999.
            guidance: [B, K], weight of the conditional prediction.
            coefficients: [B, K, 5], rows [a, b, c, p, q].

        Returns:
            latents [B, 4, 32, 32], scaled.
        """
        latents, denoised = noise, torch.zeros_like(noise)
        for k in range(timesteps.shape[1]):
            step = slice(k, k + 1)
            latents, denoised = self.step(
                latents, denoised, condition, timesteps[:, step], guidance[:, step], coefficients[:, k]
            )
        return latents
