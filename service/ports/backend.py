"""The graphs as the engine calls them: one method a graph, batch first, shapes of `xmdpt.spec`.

It knows nothing of jobs. Every method raises ResourceExhaustedError or BackendError.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

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
    has_low_decoder: bool
    """It also has a graph that decodes in that precision."""
    max_low_rows: int | None
    """Most rows of one call of the graph for steps in low precision, 1 of an int8 one; None if it has none."""
    profile_sizes: Sequence[int]
    """Numbers of rows that a call may have, growing from 1; empty: any, up to the graph's largest batch.

    `denoise_step_low` and `decode_low` take any number: of more rows than their graphs take they make several
    calls.
    """

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

    def decode_low(self, latents: F32) -> U8:
        """As `decode`, in low precision; only where there is a graph for that."""
        ...


class ResidentSteps(Protocol):
    """Denoising whose arrays stay on the device from a picture's first step to its last, in numbered rows.

    Whose rows they are is `service.engine.residents`' business. Every method raises as those of InferenceBackend do.
    """

    max_rows: int
    """Rows 0 .. max_rows - 1 are there."""

    def put(self, row: int, latents: F32, previous_denoised: F32, condition: F32) -> None:
        """[4,32,32] twice and [D] into a row, whatever it held."""
        ...

    def move(self, row: int, to_row: int) -> None:
        """Copy all that a row holds into another one."""
        ...

    def latents(self, row: int) -> F32:
        """[4,32,32] as of the last step."""
        ...

    def denoised(self, row: int) -> F32:
        """[4,32,32] that the last step expects the latents to become."""
        ...

    def step(self, numbers: F32) -> None:
        """One step of the first B rows: [B,7] timestep, guidance weight and coefficients; B is a profile size.

        If it raises, all rows are as before. Rows from B on hold nothing any more.
        """
        ...

    def capture(self, num_rows: int) -> None:
        """Run steps of so many rows in every way that `step` will, so that none is a first one; rows are lost."""
        ...

    def try_step(self, num_rows: int) -> None:
        """Run a step of so many rows as `step` does, without changing any row."""
        ...


@runtime_checkable
class ResidentBackend(Protocol):
    """A backend that may have resident steps; where it has them, `denoise_step` is not called."""

    resident_steps: ResidentSteps | None
