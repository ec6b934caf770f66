"""The graphs as the engine calls them: one method a graph, batch first, shapes of `xmdpt.spec`.

It knows nothing of jobs. Every method raises ResourceExhaustedError or BackendError.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.execution import Execution

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


class InferenceBackend(Protocol):
    """Runs the graphs of one model repository on one device; B >= 1 rows, at most `max_batch`.

    Of `denoise_step` and `sample` it needs only the one that its execution calls.
    """

    runtime: str
    variant: str
    model_digest: str
    precision: str
    """What the products of its graphs are computed in, such as `fp32`."""
    low_precision: str | None
    """Likewise of its graph for steps in low precision, such as `int8`; None if it has none."""
    profile_sizes: Sequence[int]
    """Numbers of rows that a call may have, growing from 1; empty: any, up to the graph's largest batch."""

    def choose(self, execution: Execution) -> None:
        """Be ready for this execution's denoising graph; the other one need not be loaded any more."""
        ...

    def encode_source(self, photo: U8) -> F32:
        """[B,256,256,3] uint8 RGB -> source_vector [B,D]."""
        ...

    def encode_pose(self, skeleton: U8) -> F32:
        """[B,256,256,3] uint8 RGB -> pose_vector [B,D]."""
        ...

    def condition(self, source_vector: F32, pose_vector: F32) -> F32:
        """Two [B,D] -> condition [B,D]."""
        ...

    def denoise_step(
        self, latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
    ) -> tuple[F32, F32]:
        """[B,4,32,32] twice, [B,D], [B,1], [B,1], [B,5] -> next latents and denoised, [B,4,32,32] each."""
        ...

    def denoise_step_low(
        self, latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
    ) -> tuple[F32, F32]:
        """As `denoise_step`, in low precision; only where there is a graph for that, whatever the execution."""
        ...

    def sample(self, noise: F32, condition: F32, timesteps: F32, guidance: F32, coefficients: F32) -> F32:
        """[B,4,32,32], [B,D], [B,K], [B,K], [B,K,5] -> latents [B,4,32,32] after all K steps."""
        ...

    def decode(self, latents: F32) -> U8:
        """[B,4,32,32] scaled latents -> [B,256,256,3] uint8 RGB."""
        ...
