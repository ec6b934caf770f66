"""The Frechet distance between two sets of pictures, each as mean and covariance of some network's features.

Computes no features: with those of Inception it is FID (`xmdpt.evaluation.inception`), with any others it is not.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass
class Statistics:
    """Running mean and covariance of feature vectors, without keeping them."""

    count: int = 0
    _sum: Float64 = field(default_factory=lambda: np.zeros(1))
    _outer_sum: Float64 = field(default_factory=lambda: np.zeros((1, 1)))

    def add(self, features: NDArray[np.floating]) -> None:
        """Take in [B, D] more vectors."""
        rows = features.astype(np.float64)
        self.count += len(rows)
        self._sum = self._sum + rows.sum(axis=0)
        self._outer_sum = self._outer_sum + rows.T @ rows

    def mean(self) -> Float64:
        """Return [D]."""
        return self._sum / self.count

    def covariance(self) -> Float64:
        """Return [D, D], of the sample: divided by count - 1; all zero for a single vector."""
        centred = self._outer_sum - self.count * np.outer(self.mean(), self.mean())
        return centred / max(self.count - 1, 1)


def frechet_distance(mean_a: Float64, covariance_a: Float64, mean_b: Float64, covariance_b: Float64) -> float:
    """Squared Frechet distance of two normal distributions: |m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2)).

    Args:
        mean_a: [D].
        covariance_a: [D, D], symmetric, no negative eigenvalues.
        mean_b: as mean_a.
        covariance_b: as covariance_a.

    Returns:
        0 for equal distributions, else above.

    Source:
        Dowson and Landau 1982; Heusel et al. 2017. The trace of the root is taken from the symmetric product
        R' C_b R with R R' = C_a, which has the same eigenvalues as C_a C_b and cannot turn complex.
    """
    values, vectors = np.linalg.eigh(covariance_a)
    # Axes along which the first set does not vary, as all but a few with a small set, add nothing to the trace.
    is_varying = values > values[-1] * len(values) * np.finfo(np.float64).eps
    root_a = vectors[:, is_varying] * np.sqrt(values[is_varying])
    product = root_a.T @ covariance_b @ root_a
    root_trace = np.sqrt(np.linalg.eigvalsh((product + product.T) / 2).clip(0)).sum()
    gap = mean_a - mean_b
    distance = gap @ gap + np.trace(covariance_a) + np.trace(covariance_b) - 2 * root_trace
    return max(float(distance), 0.0)
