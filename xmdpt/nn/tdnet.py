"""TDNet, the denoiser: noisy latents, timestep and condition to the prediction of noise (and its variance).

Does not make the condition (`xmdpt.nn.canet`), weigh conditional against unconditional, or step through timesteps.
"""

from torch import Tensor, nn

from xmdpt.nn.layers import Block, FinalLayer, LatentEmbedder, TimestepEmbedder, grid_positions
from xmdpt.spec import Variant

NUM_DECODER_BLOCKS = 2
"""The last blocks, which see the positions once more. In training, masked tokens are filled in before them."""


class TDNet(nn.Module):
    """Diffusion transformer over latent patches; all conditioning enters through one vector per picture.

    The official network also sends the source latents through every block. Only masked training reads what comes out
    there (`xmdpt.nn.mipnet`), so at inference that stream does not exist here.

    Source:
        Pham et al. 2024 (X-MDPT), section 3; trungpx/xmdpt@8397056.
    """

    def __init__(self, variant: Variant):
        super().__init__()
        width, grid = variant.width, variant.grid
        self.latent_embedder = LatentEmbedder(width, grid, variant.patch)
        self.timestep_embedder = TimestepEmbedder(width)
        self.blocks = nn.ModuleList(Block(width, variant.heads, grid) for _ in range(variant.depth))
        self.decoder_positions = nn.Parameter(grid_positions(width, grid))
        self.final_layer = FinalLayer(width, grid, variant.patch)

    def forward(self, latents: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """Predict the noise in latents.

        Args:
            latents: [B, 4, 32, 32], scaled, about unit variance when noisy.
            timestep: [B] floating point, 0..999.
            condition: [B, D] of CANet; zeros mean unconditional.

        Returns:
            [B, 8, 32, 32]: the prediction (`Variant.prediction`) in channels 0-3, in 4-7 where the variance lies
            between its two bounds, about [-1, 1], which deterministic samplers do not need.
        """
        control = self.control(timestep, condition)
        tokens = self.encode(self.latent_embedder(latents), control)
        return self.decode(tokens + self.decoder_positions, control)

    def control(self, timestep: Tensor, condition: Tensor) -> Tensor:
        """Return [B, D], what steers every block; arguments as in `forward`."""
        return self.timestep_embedder(timestep) + condition

    def encode(self, tokens: Tensor, control: Tensor, kept: Tensor | None = None) -> Tensor:
        """Run all blocks but the last two: tokens [B, K, D] to the same; kept [B, K] int64, None for all cells."""
        for block in self.blocks[:-NUM_DECODER_BLOCKS]:
            tokens = block(tokens, control, kept)
        return tokens

    def decode(self, tokens: Tensor, control: Tensor) -> Tensor:
        """Run the last two blocks and the final layer: tokens [B, T, D], positions added, to [B, 8, 32, 32]."""
        for block in self.blocks[-NUM_DECODER_BLOCKS:]:
            tokens = block(tokens, control)
        return self.final_layer(tokens, control)
