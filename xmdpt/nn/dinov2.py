"""DINOv2, the frozen extractor of picture tokens, with the key names of the official hub files.

Does not hold the pooling of its tokens (`xmdpt.nn.canet`), nor any weights. One instance sees the photo, another the
skeleton; both see 224 x 224 px, so that nothing is interpolated when it runs.

Source: facebookresearch/dinov2@b8931f7, hub models without registers.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xmdpt.spec import IMAGE_SIZE, Dinov2Config

INPUT_SIZE = 224
PATCH_SIZE = 14
_GRID = INPUT_SIZE // PATCH_SIZE
_HUB_GRID = 37
HUB_TOKENS = 1 + _HUB_GRID**2
"""Entries of the position table in the official files: that of the class token, then those of a 518 px picture."""
# Not 37 / 16: the official code adds an offset of 0.1 to the new size.
_TABLE_STRETCH = _HUB_GRID / (_GRID + 0.1)
_LAYER_NORM_EPS = 1e-6


class Dinov2(nn.Module):
    """Picture to tokens after the last block's LayerNorm: the class token, then 256 patches in row order.

    `pos_embed` is [1, 257, width], already brought to this input size by `bake_position_table`.
    """

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _GRID**2, config.width))
        self.patch_embed = _PatchEmbed(config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=_LAYER_NORM_EPS)

    @staticmethod
    def shrink(x: Tensor) -> Tensor:
        """`resize_224`, the size that the network takes."""
        return resize_224(x)

    def forward(self, x224: Tensor) -> Tensor:
        """Tokens of pictures that `resize_224` has made.

        Args:
            x224: [B, 3, 224, 224] f32; a photo in [-1, 1] or a skeleton in [0, 1], not normalised further.

        Returns:
            [B, 257, width] f32.
        """
        patches = self.patch_embed(x224)
        class_token = self.cls_token.expand(patches.shape[0], -1, -1)
        tokens = torch.cat([class_token, patches], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


class _PatchEmbed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=PATCH_SIZE, stride=PATCH_SIZE)

    def forward(self, x224: Tensor) -> Tensor:
        return self.proj(x224).flatten(2).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=_LAYER_NORM_EPS)
        self.attn = Attention(config.width, config.heads)
        self.ls1 = _LayerScale(config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=_LAYER_NORM_EPS)
        self.mlp = Mlp(config.width) if config.ffn == "mlp" else SwiGlu(config.width)
        self.ls2 = _LayerScale(config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class Attention(nn.Module):
    """Multi-head self-attention, without position bias: positions are added to the tokens once."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, N, width] of tokens [B, N, width]."""
        # [B, N, 3 * width] -> three of [B, heads, N, width / heads]
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class Mlp(nn.Module):
    """The two-layer network of the base size's blocks, with the exact form of GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, N, width] of tokens [B, N, width]."""
        return self.fc2(functional.gelu(self.fc1(tokens)))


class SwiGlu(nn.Module):
    """The gated network that the giant size has in its place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Two thirds of the plain MLP's hidden width, rounded up to a multiple of 8: the same number of weights.
        hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, N, width] of tokens [B, N, width]."""
        gate, value = self.w12(tokens).chunk(2, dim=-1)
        return self.w3(functional.silu(gate) * value)


def resize_224(x: Tensor) -> Tensor:
    """Bicubic 256 -> 224 px without antialiasing or clamping, as DINOv2 was fed in training.

    Args:
        x: [B, C, 256, 256] f32, any range.

    Returns:
        [B, C, 224, 224] f32; the kernel overshoots x's range by up to about an eighth of it.
    """
    matrix = _PICTURE_MATRIX.to(x)
    return matrix @ x @ matrix.T


def bake_position_table(hub_table: Tensor) -> Tensor:
    """The hub's 37 x 37 position table brought to the 16 x 16 patches of a 224 px picture.

    Args:
        hub_table: [1, 1370, width], the class token's entry first.

    Returns:
        [1, 257, width] of the same dtype: what `Dinov2.pos_embed` holds.

    Source:
        facebookresearch/dinov2@b8931f7, interpolate_pos_encoding with offset 0.1.
    """
    matrix = torch.from_numpy(_bicubic_matrix(_HUB_GRID, _GRID, stretch=_TABLE_STRETCH))
    grid = hub_table[0, 1:].double().unflatten(0, (_HUB_GRID, _HUB_GRID))
    small = torch.einsum("ir,jc,rcw->ijw", matrix, matrix, grid)
    return torch.cat([hub_table[:, :1], small.flatten(0, 1)[None].to(hub_table.dtype)], dim=1)


def _bicubic_matrix(num_in: int, num_out: int, stretch: float) -> np.ndarray:
    """[num_out, num_in] float64: row i holds the cubic kernel (a = -0.75) around stretch * (i + 0.5) - 0.5.

    Taps beyond the border fall on the border cell. Each row sums to 1.
    """
    centres = stretch * (np.arange(num_out) + 0.5) - 0.5
    first = np.floor(centres).astype(int) - 1
    matrix = np.zeros((num_out, num_in))
    for tap in range(4):
        cells = first + tap
        np.add.at(matrix, (np.arange(num_out), cells.clip(0, num_in - 1)), _cubic_kernel(centres - cells))
    return matrix


def _cubic_kernel(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


# Made at import: the tracer takes no constants that are made while it traces.
_PICTURE_MATRIX = torch.from_numpy(_bicubic_matrix(IMAGE_SIZE, INPUT_SIZE, stretch=IMAGE_SIZE / INPUT_SIZE)).float()
