"""The residual convolution of the demo's extractors and autoencoder."""

from torch import Tensor, nn
from torch.nn import functional

GROUPS = 8


class ResidualConv(nn.Module):
    """Two 3x3 convolutions with GroupNorm and SiLU beside a path that adds the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = conv3x3(channels, channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, H, W] of the same shape."""
        hidden = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(hidden)))


def conv3x3(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, or halves it with stride 2."""
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)
