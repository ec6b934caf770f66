"""What random choices are described by: ranges, and values with shares.

Does not own a generator: the caller's numpy generator is the only source of chance.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Value = TypeVar("Value")

Range = tuple[float, float]
"""Lowest and highest value, all between equally likely."""

Shares = tuple[tuple[Value, float], ...]
"""Values, each with how often it comes; the shares need not sum to 1."""


def choose(rng: np.random.Generator, shares: Sequence[tuple[Value, float]]) -> Value:
    """Draw one value by its share."""
    left = rng.random() * sum(share for _, share in shares)
    for value, share in shares:
        left -= share
        if left < 0:
            return value
    return shares[-1][0]


def happens(rng: np.random.Generator, share: float) -> bool:
    """Draw whether something comes that has this share, 0..1."""
    return rng.random() < share
