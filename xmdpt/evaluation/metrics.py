"""What one picture is worth beside the true photo, without any network: SSIM and PSNR, and the size they are taken at.

Distances between sets of pictures are `xmdpt.evaluation.frechet`, the learned distance `xmdpt.evaluation.lpips`.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

Picture = NDArray[np.uint8]
"""[H, W, 3] uint8 RGB."""

PROTOCOL_SIZE = (176, 256)
"""Width and height at which the papers score: the photo's true shape, squashed to a square for the model."""

_MAX_VALUE = 255.0


def at_protocol_size(picture: Picture) -> Picture:
    """Resize [256, 256, 3] to [256, 176, 3] by `cv2.resize` (bilinear, no antialias), as PIDM's metric script does."""
    return cv2.resize(picture, PROTOCOL_SIZE).astype(np.uint8, copy=False)


def ssim(picture: Picture, target: Picture) -> float:
    """Structural similarity with Gaussian windows of sigma 1.5, over colour channels; 1 for equal pictures.

    Source:
        Wang et al. 2004; settings of RenYurui/Global-Flow-Local-Attention script/metrics.py, except that the data
        range is 255, where the script takes the picture's own.
    """
    return _ssim(picture, target, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)


def ssim_window_51(picture: Picture, target: Picture) -> float:
    """Structural similarity with uniform windows of 51 px, which CFLD reports beside the other; 1 for equal pictures.

    Source:
        YanzuoLu/CFLD models/metrics.py.
    """
    return _ssim(picture, target, win_size=51)


def psnr(picture: Picture, target: Picture) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    mean_square = float(np.square(picture.astype(np.float64) - target).mean())
    return 10 * math.log10(_MAX_VALUE**2 / mean_square) if mean_square else math.inf


def _ssim(picture: Picture, target: Picture, **windows: Any) -> float:
    # Its type says tuple, for calls that also ask for the gradient or the map.
    value: Any = structural_similarity(target, picture, channel_axis=2, data_range=_MAX_VALUE, **windows)
    return float(value)
