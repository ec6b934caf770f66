"""LPIPS on AlexNet: a learned distance between a picture and the true photo.

Does not hold weights: without the user's files there is no LPIPS.

Source: Zhang et al. 2018, version 0.1; key names of torchvision's `alexnet` and of the package lpips.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmdpt.evaluation.weight_files import fill

# Places of the layers whose output is compared: each ReLU behind a convolution.
_COMPARED = (1, 4, 7, 9, 11)
_WIDTHS = (64, 192, 384, 256, 256)
# Turns [-1, 1] into roughly ImageNet's normalisation.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_NORM_EPS = 1e-10


class Lpips(nn.Module):
    """Two batches of pictures to one distance a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        )
        for place, width in enumerate(_WIDTHS):
            # The package puts a dropout at 0, so the weights are at 1.
            layers = nn.Sequential(nn.Identity(), nn.Conv2d(width, 1, 1, bias=False))
            self.add_module(f"lin{place}", nn.ModuleDict({"model": layers}))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances.

        Args:
            a: [B, 3, H, W] f32 in [-1, 1].
            b: as a.

        Returns:
            [B] f32; 0 for equal pictures.
        """
        distance = a.new_zeros(len(a))
        for place, (unit_a, unit_b) in enumerate(zip(self._compared(a), self._compared(b), strict=True)):
            weigh = self.get_submodule(f"lin{place}.model")
            distance = distance + weigh((unit_a - unit_b) ** 2).mean(dim=(1, 2, 3))
        return distance

    def _compared(self, x: Tensor) -> list[Tensor]:
        """Return the compared layers' outputs, each place a vector of length 1."""
        shift, scale = (x.new_tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
        x = (x - shift) / scale
        found = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in _COMPARED:
                found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + _NORM_EPS))
        return found


class LpipsDistance:
    """The network with the user's weights, for pictures as arrays; on CUDA where there is one."""

    def __init__(self, paths: Sequence[Path]):
        """Load AlexNet's features and the five `lin` layers from one file or several.

        Raises:
            InputError: together they are not LPIPS on AlexNet; the message names the first bad key.
        """
        network = Lpips()
        fill(network, paths, unused=("classifier.",))
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.to(self._device).eval().requires_grad_(False)

    def __call__(self, pictures: NDArray[np.uint8], targets: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return [B] distances of pictures and targets, both [B, H, W, 3] uint8 RGB."""
        with torch.inference_mode():
            return self._network(self._scaled(pictures), self._scaled(targets)).cpu().numpy()

    def _scaled(self, pictures: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self._device) / 127.5 - 1
