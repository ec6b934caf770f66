"""The figures of pictures beside their truths: their names, what they mean, and their numbers.

Does not work them out (`xmdpt.quality.scoring`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Meaning(NamedTuple):
    """What a reader must know of a figure; `decimals` are those that are worth printing."""

    title: str
    is_better_high: bool
    decimals: int
    words: str


MEANINGS = {
    "psnr": Meaning("PSNR, dB", True, 2, "mean over pairs of 10 log10(255² / mean square error), 256 x 256"),
    "ssim": Meaning(
        "SSIM", True, 4, "Gaussian windows of sigma 1.5, RGB, 256 x 256; a smooth background alone gives it most of 1"
    ),
    "silhouette_iou": Meaning(
        "silhouette IoU", True, 4, "intersection over union of the person found in the picture and the renderer's"
    ),
    "feature_distance": Meaning(
        "feature distance", False, 4, "1 - cosine of EfficientNet-Lite0's features at four depths, cell by cell"
    ),
    "pck": Meaning(
        "PCK@0.05", True, 4, "share of the target's key points that BlazePose finds within 12.8 px of their place"
    ),
    "garment_colour_error": Meaning(
        "garment colour error", False, 2, "mean CIELAB difference over the truth's clothes and shoes, pixel by pixel"
    ),
}
"""Each figure by its name, in the order in which they are shown."""


@dataclass(frozen=True)
class Figures:
    """One number per picture, [N] float64 each.

    Attributes:
        psnr: dB; infinite for a picture that is its truth.
        ssim: 1 for such a picture.
        silhouette_iou: 0..1.
        feature_distance: 0..2; NaN where it was not asked for.
        pck: 0..1; NaN where it was not asked for, or no key point of the truth is seen.
        garment_colour_error: 0 or more; NaN where the truth shows no garment.
    """

    psnr: Numbers
    ssim: Numbers
    silhouette_iou: Numbers
    feature_distance: Numbers
    pck: Numbers
    garment_colour_error: Numbers

    def means(self) -> dict[str, float]:
        """Return the mean of each figure over the pictures that have it; NaN if none has."""
        return {name: _mean(values) for name, values in self.columns().items()}

    def columns(self) -> dict[str, Numbers]:
        """Return the numbers of each figure by its name."""
        return {name: getattr(self, name) for name in MEANINGS}


def joined(parts: Sequence[Figures]) -> Figures:
    """Return the figures of all parts' pictures, one part after the other."""
    return Figures(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Figures)})


def _mean(values: Numbers) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
