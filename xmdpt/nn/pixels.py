"""Pictures as the networks take them, and back."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_pixels(pictures: NDArray[np.uint8]) -> Tensor:
    """[B, H, W, 3] uint8 to [B, 3, H, W] f32 in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def from_pixels(x: Tensor) -> NDArray[np.uint8]:
    """[B, 3, H, W] about [-1, 1] to [B, H, W, 3] uint8."""
    return ((x + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
