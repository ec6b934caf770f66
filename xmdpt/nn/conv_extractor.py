"""The demo's extractor: a small convolutional network from a picture to tokens, in the place of DINOv2.

Unlike DINOv2 it is trained together with TDNet and CANet, which pool its tokens in the same way (`xmdpt.nn.canet`).
"""

from torch import Tensor, nn
from torch.nn import functional

from xmdpt.nn.conv_layers import GROUPS, ResidualConv, conv3x3
from xmdpt.spec import ConvExtractorConfig

_SHRINK = 4
_PATCH = 4


class ConvExtractor(nn.Module):
    """Pictures to 8 x 8 tokens; convolutions tell every token what stands around it and where the border is."""

    def __init__(self, config: ConvExtractorConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.PixelUnshuffle(_PATCH), conv3x3(3 * _PATCH**2, config.inner))
        self.fine = ResidualConv(config.inner)
        self.down = conv3x3(config.inner, config.width, stride=2)
        self.coarse = nn.Sequential(ResidualConv(config.width), ResidualConv(config.width))
        self.norm = nn.GroupNorm(GROUPS, config.width)

    @staticmethod
    def shrink(x: Tensor) -> Tensor:
        """Return [B, 3, 64, 64], the means of 4 x 4 px of pictures [B, 3, 256, 256]."""
        return functional.avg_pool2d(x, _SHRINK)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens [B, 64, W] of pictures [B, 3, 64, 64] that `shrink` has made, photos in [-1, 1]."""
        cells = self.coarse(self.down(self.fine(self.stem(x))))
        return functional.silu(self.norm(cells)).flatten(2).transpose(1, 2)
