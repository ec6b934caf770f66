"""Inception-v3 up to its last pooling, with the key names of torchvision's file: the features of FID.

Does not hold weights: without the user's file there is no FID. Its classifier and its side head are left out.

Source: Szegedy et al. 2016; key names and shapes of torchvision's `inception_v3`, weights IMAGENET1K_V1.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from xmdpt.evaluation.inception_blocks import Conv, ConvNorm, Mixed, block_a, block_b, block_c, block_d, block_e
from xmdpt.evaluation.weight_files import fill
from xmdpt.repository import file_digest

FEATURE_WIDTH = 2048
_INPUT_SIZE = 299
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Inception(nn.Module):
    """Pictures to the 2048 numbers that FID compares."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, Conv("", 32, 3, stride=2), is_padded=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, Conv("", 32, 3), is_padded=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, Conv("", 64, 3), is_padded=True)
        self.Conv2d_3b_1x1 = ConvNorm(64, Conv("", 80), is_padded=True)
        self.Conv2d_4a_3x3 = ConvNorm(80, Conv("", 192, 3), is_padded=False)
        blocks = {
            **{"5b": (192, block_a(32)), "5c": (256, block_a(64)), "5d": (288, block_a(64))},
            **{"6a": (288, block_b()), "6b": (768, block_c(128)), "6c": (768, block_c(160))},
            **{"6d": (768, block_c(160)), "6e": (768, block_c(192))},
            **{"7a": (768, block_d()), "7b": (1280, block_e()), "7c": (2048, block_e())},
        }
        self._mixed = [f"Mixed_{name}" for name in blocks]
        for name, (width_in, chains) in blocks.items():
            self.add_module(f"Mixed_{name}", Mixed(width_in, chains))

    def forward(self, x: Tensor) -> Tensor:
        """Features of pictures.

        Args:
            x: [B, 3, H, W] f32 in [0, 1], any size.

        Returns:
            [B, 2048] f32.
        """
        x = functional.interpolate(x, size=(_INPUT_SIZE, _INPUT_SIZE), mode="bilinear")
        # torchvision's change from ImageNet's normalisation to this network's, done to pictures that were never
        # normalised. The papers' scripts do it (GFLA, CFLD), and their figures depend on it.
        mean, std = (x.new_tensor(values)[:, None, None] for values in (_IMAGENET_MEAN, _IMAGENET_STD))
        x = x * (std / 0.5) + (mean - 0.5) / 0.5
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = functional.max_pool2d(x, kernel_size=3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = functional.max_pool2d(x, kernel_size=3, stride=2)
        for name in self._mixed:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3))


class InceptionFeatures:
    """The network with the user's weights, for pictures as arrays; on CUDA where there is one."""

    def __init__(self, path: Path):
        """Load a file.

        Raises:
            InputError: it is not torchvision's Inception-v3; the message names the first bad key.
        """
        network = Inception()
        fill(network, [path], unused=("AuxLogits.", "fc."))
        self.origin = f"{path.name}, sha256 {file_digest(path)}"
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.to(self._device).eval().requires_grad_(False)

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return [B, 2048] of pictures [B, H, W, 3] uint8 RGB."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self._device) / 255
        with torch.inference_mode():
            return self._network(x).cpu().numpy()
