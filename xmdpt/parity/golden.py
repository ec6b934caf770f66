"""Golden arrays beside ours: how far apart they are, and what is not compared.

Does not know what the arrays mean.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Golden = Mapping[str, Array]
Groups = Mapping[float, Mapping[str, Array]]
"""What we have computed, by the tolerance that it is held to."""


@dataclass(frozen=True)
class Check:
    """One golden array and what became of it.

    Attributes:
        name: `<file>/<key>`.
        error: max|a - b| / max|b|; not a number where shapes differ.
        tolerance: the largest error that passes.
    """

    name: str
    error: float
    tolerance: float

    @property
    def is_within_tolerance(self) -> bool:
        """False also where the error is not a number."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Skipped:
    """What was not compared, and why."""

    name: str
    reason: str


Outcome = Check | Skipped


def compared(golden: Golden, groups: Groups, is_by_step: bool = False) -> Iterator[Outcome]:
    """Compare every golden array, or say that we have none for it.

    Args:
        golden: arrays by their names.
        groups: ours.
        is_by_step: the first axis counts steps, and each step is held to its own size.
    """
    ours = {key: (array, tolerance) for tolerance, arrays in groups.items() for key, array in arrays.items()}
    for key, wanted in golden.items():
        if key not in ours:
            yield Skipped(key, "not recomputed here")
            continue
        found, tolerance = ours[key]
        is_split = is_by_step and wanted.ndim > 1 and found.shape == wanted.shape
        pairs = zip(found, wanted, strict=True) if is_split else [(found, wanted)]
        yield Check(key, max((_error(a, b) for a, b in pairs), key=_rank), tolerance)


def _error(found: Array, wanted: Array) -> float:
    """max|a - b| / max|b|; a golden array may hold the first tokens only."""
    if found.ndim == wanted.ndim == 3 and found.shape[1] > wanted.shape[1]:
        found = found[:, : wanted.shape[1]]
    if found.shape != wanted.shape:
        return float("nan")
    difference = np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max()
    return float(difference / max(np.abs(wanted).max(), np.finfo(np.float64).tiny))


def _rank(error: float) -> float:
    """Not a number is the worst of all errors."""
    return float("inf") if np.isnan(error) else error
