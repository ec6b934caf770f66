"""MIPNet: the masked cross-view prediction that X-MDPT is trained with beside the plain one.

Is not part of inference, nor of any exported graph. Draws no masks and knows no losses (`xmdpt.training`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmdpt.nn.layers import Block, Mlp, ModulatedNorm, Modulation, RelativePositionBias
from xmdpt.nn.tdnet import TDNet
from xmdpt.spec import Variant

KEPT_RATIO = 0.7
"""Share of the target's tokens that the masked pass sees."""


class MIPNet(nn.Module):
    """Fills in the tokens that TDNet's encoder has not seen: from those it has seen, then from the source's.

    Source:
        Pham et al. 2024 (X-MDPT), section 3; trungpx/xmdpt@8397056.
    """

    def __init__(self, variant: Variant):
        super().__init__()
        width, grid = variant.width, variant.grid
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.block = Block(width, variant.heads, grid)
        self.cross_block = CrossBlock(width, variant.heads, grid)

    def forward(
        self, tdnet: TDNet, latents: Tensor, source_latents: Tensor, control: Tensor, mask_noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict the noise in latents of which TDNet's encoder sees a part.

        Args:
            tdnet: the denoiser that is trained; its blocks also carry the source.
            latents: [B, 4, 32, 32], noisy, scaled.
            source_latents: [B, 4, 32, 32], scaled.
            control: [B, D] of `TDNet.control`.
            mask_noise: [B, T]: the cells with the smallest numbers are kept.

        Returns:
            [B, 8, 32, 32] as `TDNet.forward`; and by name what happened on the way, each [B, T, D]: `side_in`,
            `side_context`, `side_cross_out`.
        """
        kept, place = kept_cells(mask_noise)
        tokens = gather_tokens(tdnet.latent_embedder(latents), kept)
        tokens = tdnet.encode(tokens, control, kept)
        hidden = self.mask_token.expand(len(tokens), place.shape[1] - kept.shape[1], -1)
        filled = gather_tokens(torch.cat([tokens, hidden], dim=1), place) + tdnet.decoder_positions
        with torch.no_grad():
            context = tdnet.encode(tdnet.latent_embedder(source_latents), control)
        predicted = self.cross_block(self.block(filled, control), control, context)
        is_hidden = (place >= kept.shape[1]).unsqueeze(2)
        tokens = torch.where(is_hidden, predicted, filled)
        inner = {"side_in": filled, "side_context": context, "side_cross_out": predicted}
        return tdnet.decode(tokens, control), inner


def kept_cells(mask_noise: Tensor) -> tuple[Tensor, Tensor]:
    """Which cells stay, and where each cell stands in the shuffled order.

    Args:
        mask_noise: [B, T].

    Returns:
        kept [B, K] int64, the K = int(0.7 T) cells with the smallest numbers in their order; place [B, T] int64, in
        which K and above are hidden.
    """
    order = mask_noise.argsort(dim=1)
    return order[:, : int(order.shape[1] * KEPT_RATIO)], order.argsort(dim=1)


def gather_tokens(tokens: Tensor, cells: Tensor) -> Tensor:
    """Return [B, K, D], the tokens [B, T, D] that stand at cells [B, K] int64."""
    return tokens.gather(1, cells.unsqueeze(2).expand(-1, -1, tokens.shape[2]))


class CrossBlock(nn.Module):
    """A block whose attention looks at the source's tokens instead of at its own; steered by the control likewise."""

    def __init__(self, width: int, heads: int, grid: int):
        super().__init__()
        self.modulation = Modulation(width, parts=6)
        self.norm = ModulatedNorm(width)
        self.attn = CrossAttention(width, heads, grid)
        self.mlp = Mlp(width)

    def forward(self, tokens: Tensor, control: Tensor, context: Tensor) -> Tensor:
        """Return [B, T, D] of tokens [B, T, D], control [B, D] and the source's tokens [B, T, D], not normalised."""
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = self.modulation(control)
        tokens = tokens + gate_attn * self.attn(self.norm(tokens, shift_attn, scale_attn), context)
        return tokens + gate_mlp * self.mlp(self.norm(tokens, shift_mlp, scale_mlp))


class CrossAttention(nn.Module):
    """Multi-head attention from the target's cells to the source's, with a relative position bias of its own."""

    def __init__(self, width: int, heads: int, grid: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.bias = RelativePositionBias(heads, grid)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Return [B, T, D] of tokens and context, both [B, T, D]."""
        query = self.to_q(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.to_kv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.bias())
        return self.proj(mixed.transpose(1, 2).flatten(2))
