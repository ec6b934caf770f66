"""Classifier-free guidance: how far to go from the unconditional to the conditional prediction at each timestep.

Does not combine the predictions: prediction = unconditional + weight * (conditional - unconditional).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmdpt.spec import NUM_TRAIN_TIMESTEPS


def guidance_weights(timesteps: ArrayLike, scale: float, power: float = 0.01) -> NDArray[np.float64]:
    """One weight per timestep, growing from 1 where noise is all to `scale` where the picture is done.

    With the official power of 0.01 the weight is nearly constant: at scale 2 it is 1.989 at timestep 999.

    Args:
        timesteps: [K], each 0..999.
        scale: weight at timestep 0; 1 is the conditional prediction alone. The paper's results use 2.
        power: above 0; the larger, the later the weight grows.

    Returns:
        [K] float64.

    Source:
        Gao et al. 2023 (MDT), power-cosine schedule.
    """
    progress = 1.0 - np.asarray(timesteps, dtype=np.float64) / NUM_TRAIN_TIMESTEPS
    return 1.0 + (scale - 1.0) * (1.0 - np.cos(np.pi * progress**power)) / 2.0
