"""The parts of TDNet: embedders of latents and timesteps, attention with relative position bias, block, final layer.

Does not know how the parts are stacked (`xmdpt.nn.tdnet`) nor where the condition comes from (`xmdpt.nn.canet`).

Names: B pictures, T = grid * grid tokens in row order, D numbers a token, H heads. `control` is the one vector per
picture by which everything but the picture's own noise acts: timestep embedding plus condition.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xmdpt.spec import LATENT_SHAPE

_TOKEN_NORM_EPS = 1e-6
_TIMESTEP_FREQUENCIES = 128
_MAX_PERIOD = 10_000
# Rows of the bias table kept for a class token that the model does not have; the official files hold them.
_UNUSED_BIAS_ROWS = 3


class LatentEmbedder(nn.Module):
    """Latents to tokens: a linear map of each patch plus the position of the patch.

    TDNet's noisy latents and CANet's source latents pass through the same embedder.
    """

    def __init__(self, width: int, grid: int, patch: int):
        super().__init__()
        self.projection = nn.Conv2d(LATENT_SHAPE[0], width, kernel_size=patch, stride=patch)
        self.positions = nn.Parameter(grid_positions(width, grid))

    def forward(self, latents: Tensor) -> Tensor:
        """Return tokens [B, T, D] of latents [B, 4, 32, 32]."""
        return self.projection(latents).flatten(2).transpose(1, 2) + self.positions


def grid_positions(width: int, grid: int) -> Tensor:
    """Sine and cosine positions of a square grid in row order: the first half of a token tells its column.

    Returns:
        [1, grid * grid, width] float32 in [-1, 1].

    Source:
        He et al. 2022 (MAE), `get_2d_sincos_pos_embed`.
    """
    frequencies = _MAX_PERIOD ** -(np.arange(width // 4) / (width // 4))
    rows, columns = np.divmod(np.arange(grid * grid), grid)
    phases = [np.outer(axis, frequencies) for axis in (columns, rows)]
    table = np.concatenate([wave(phase) for phase in phases for wave in (np.sin, np.cos)], axis=1)
    return torch.from_numpy(table.astype(np.float32)).unsqueeze(0)


class TimestepEmbedder(nn.Module):
    """A timestep to a vector: cosines, then sines, of 128 frequencies, and an MLP."""

    frequencies: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * _TIMESTEP_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        # Exponents in float32, as in training: at timestep 999 one rounding more moves a phase by 6e-5. Exponentials in
        # float64: in float32 their last bits depend on the processor, and with them an exported graph's bytes.
        exponents = -math.log(_MAX_PERIOD) * torch.arange(_TIMESTEP_FREQUENCIES, dtype=torch.float32)
        frequencies = torch.exp((exponents / _TIMESTEP_FREQUENCIES).double()).float()
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, timestep: Tensor) -> Tensor:
        """Return [B, D] of timesteps [B], floating point, 0..999."""
        phases = timestep[:, None] * self.frequencies
        return self.mlp(torch.cat([torch.cos(phases), torch.sin(phases)], dim=-1))


class RelativePositionBias(nn.Module):
    """A learned number per head for each displacement between two cells of the grid, added to the attention scores.

    Its output depends on nothing but the weights: an export may put a constant in the place of this module.

    Source:
        Bao et al. 2022 (BEiT).
    """

    index: Tensor

    def __init__(self, heads: int, grid: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros((2 * grid - 1) ** 2 + _UNUSED_BIAS_ROWS, heads))
        self.register_buffer("index", relative_position_index(grid), persistent=False)

    def forward(self) -> Tensor:
        """Return [H, T, T]: what query i (axis 1) adds to its score for key j (axis 2)."""
        return self.table[self.index].permute(2, 0, 1)


def relative_position_index(grid: int) -> Tensor:
    """Row of the bias table for each query (axis 0) and key (axis 1): [T, T] int64."""
    rows, columns = np.divmod(np.arange(grid * grid), grid)
    row_offset = rows[:, None] - rows[None, :] + grid - 1
    column_offset = columns[:, None] - columns[None, :] + grid - 1
    return torch.from_numpy(row_offset * (2 * grid - 1) + column_offset)


def bias_of_cells(bias: Tensor, kept: Tensor | None) -> Tensor:
    """Return [B, H, K, K], the rows and columns of bias [H, T, T] for the cells kept [B, K]; bias itself for None."""
    return bias if kept is None else bias[:, kept[:, :, None], kept[:, None, :]].transpose(0, 1)


class Attention(nn.Module):
    """Multi-head self-attention over all or some tokens of one picture, with relative position bias."""

    def __init__(self, width: int, heads: int, grid: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.bias = RelativePositionBias(heads, grid)

    def forward(self, tokens: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return [B, K, D] of tokens [B, K, D]; kept [B, K] int64 says which cells they are, None: all T in order."""
        heads_first = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads_first.unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias_of_cells(self.bias(), kept))
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """The two-layer network of a block, four times as wide inside, with the tanh form of GELU."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, T, D] of tokens [B, T, D]."""
        return self.fc2(functional.gelu(self.fc1(tokens), approximate="tanh"))


class Modulation(nn.Module):
    """Control to shifts, scales and gates: the linear layer of adaLN."""

    def __init__(self, width: int, parts: int):
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(width, parts * width)

    def forward(self, control: Tensor) -> tuple[Tensor, ...]:
        """Return `parts` tensors [B, 1, D] of control [B, D]."""
        return self.linear(functional.silu(control)).unsqueeze(1).chunk(self.parts, dim=-1)


class ModulatedNorm(nn.Module):
    """LayerNorm whose scale and shift come from the control instead of from weights of its own."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=_TOKEN_NORM_EPS, elementwise_affine=False)

    def forward(self, tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """Return [B, T, D] of tokens [B, T, D], shift and scale [B, 1, D]."""
        return self.norm(tokens) * (1 + scale) + shift


class Block(nn.Module):
    """One transformer block: attention, then MLP, each shifted, scaled and gated by the control (adaLN-zero).

    Source:
        Peebles and Xie 2023 (DiT).
    """

    def __init__(self, width: int, heads: int, grid: int):
        super().__init__()
        self.modulation = Modulation(width, parts=6)
        self.norm = ModulatedNorm(width)
        self.attn = Attention(width, heads, grid)
        self.mlp = Mlp(width)

    def forward(self, tokens: Tensor, control: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return [B, K, D] of tokens [B, K, D], control [B, D] and the tokens' cells, as `Attention` takes them."""
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = self.modulation(control)
        tokens = tokens + gate_attn * self.attn(self.norm(tokens, shift_attn, scale_attn), kept)
        return tokens + gate_mlp * self.mlp(self.norm(tokens, shift_mlp, scale_mlp))


class FinalLayer(nn.Module):
    """Tokens back to a picture in latent space, with twice the latent channels: prediction and variance."""

    def __init__(self, width: int, grid: int, patch: int):
        super().__init__()
        self.grid = grid
        self.patch = patch
        self.modulation = Modulation(width, parts=2)
        self.norm = ModulatedNorm(width)
        self.linear = nn.Linear(width, patch * patch * 2 * LATENT_SHAPE[0])

    def forward(self, tokens: Tensor, control: Tensor) -> Tensor:
        """Return [B, 8, 32, 32] of tokens [B, T, D] and control [B, D]."""
        shift, scale = self.modulation(control)
        patches = self.linear(self.norm(tokens, shift, scale))
        # The channel runs fastest within a patch: (row, column, patch row, patch column, channel).
        cells = patches.unflatten(2, (self.patch, self.patch, -1)).unflatten(1, (self.grid, self.grid))
        return cells.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
