"""The blocks of Inception-v3 as tables of named convolutions, and the module that builds any of them.

Does not put them together (`xmdpt.evaluation.inception`). Names and shapes are those of torchvision's state dict.

Source: Szegedy et al. 2016, figures 5 to 7 and 10.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_BATCH_NORM_EPS = 1e-3


class Conv(NamedTuple):
    """A convolution with norm and ReLU; stride 1 keeps the size, stride 2 has no padding."""

    name: str
    width: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1


class Fork(NamedTuple):
    """Convolutions of the same input, side by side."""

    convs: tuple[Conv, ...]


Chain = Sequence[Conv | Fork | str]
"""What one branch of a block does in order; a word is a pooling."""

_WIDE, _TALL = (1, 7), (7, 1)


def block_a(pool_width: int) -> list[Chain]:
    """35 x 35 places: four branches."""
    return [
        [Conv("branch1x1", 64)],
        [Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, 5)],
        [Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, 3), Conv("branch3x3dbl_3", 96, 3)],
        ["mean", Conv("branch_pool", pool_width)],
    ]


def block_b() -> list[Chain]:
    """To 17 x 17 places."""
    return [
        [Conv("branch3x3", 384, 3, stride=2)],
        [Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, 3), Conv("branch3x3dbl_3", 96, 3, stride=2)],
        ["max"],
    ]


def block_c(inner: int) -> list[Chain]:
    """17 x 17 places, long thin kernels of `inner` channels."""
    double = [(inner, _TALL), (inner, _WIDE), (inner, _TALL), (192, _WIDE)]
    return [
        [Conv("branch1x1", 192)],
        [Conv("branch7x7_1", inner), Conv("branch7x7_2", inner, _WIDE), Conv("branch7x7_3", 192, _TALL)],
        [Conv("branch7x7dbl_1", inner)]
        + [Conv(f"branch7x7dbl_{place}", *shape) for place, shape in enumerate(double, start=2)],
        ["mean", Conv("branch_pool", 192)],
    ]


def block_d() -> list[Chain]:
    """To 8 x 8 places."""
    first = "branch7x7x3"
    return [
        [Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, 3, stride=2)],
        [
            *(Conv(f"{first}_1", 192), Conv(f"{first}_2", 192, _WIDE), Conv(f"{first}_3", 192, _TALL)),
            Conv(f"{first}_4", 192, 3, stride=2),
        ],
        ["max"],
    ]


def block_e() -> list[Chain]:
    """8 x 8 places, forks at the ends."""

    def fork(first: str, second: str) -> Fork:
        return Fork((Conv(first, 384, (1, 3)), Conv(second, 384, (3, 1))))

    return [
        [Conv("branch1x1", 320)],
        [Conv("branch3x3_1", 384), fork("branch3x3_2a", "branch3x3_2b")],
        [Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, 3), fork("branch3x3dbl_3a", "branch3x3dbl_3b")],
        ["mean", Conv("branch_pool", 192)],
    ]


class ConvNorm(nn.Module):
    """A convolution without bias, its norm, ReLU."""

    def __init__(self, width_in: int, conv: Conv, is_padded: bool):
        super().__init__()
        kernel = conv.kernel if isinstance(conv.kernel, tuple) else (conv.kernel, conv.kernel)
        padding = (kernel[0] // 2, kernel[1] // 2) if is_padded else (0, 0)
        self.conv = nn.Conv2d(width_in, conv.width, kernel, conv.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(conv.width, eps=_BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width, H', W'] of [B, width_in, H, W]."""
        return functional.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches over the same input, their outputs one after the other along the channels."""

    def __init__(self, width_in: int, chains: list[Chain]):
        super().__init__()
        self._chains = chains
        for chain in chains:
            width = width_in
            for step in chain:
                convs = step.convs if isinstance(step, Fork) else (step,) if isinstance(step, Conv) else ()
                for conv in convs:
                    self.add_module(conv.name, ConvNorm(width, conv, is_padded=conv.stride == 1))
                width = sum(conv.width for conv in convs) or width

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, sum of the branches' widths, H', W'] of [B, width_in, H, W]."""
        return torch.cat([self._follow(chain, x) for chain in self._chains], dim=1)

    def _follow(self, chain: Chain, x: Tensor) -> Tensor:
        for step in chain:
            match step:
                case Conv():
                    x = self.get_submodule(step.name)(x)
                case Fork():
                    x = torch.cat([self.get_submodule(conv.name)(x) for conv in step.convs], dim=1)
                case "mean":
                    x = functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1)
                case _:
                    x = functional.max_pool2d(x, kernel_size=3, stride=2)
        return x
