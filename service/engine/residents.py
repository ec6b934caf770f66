"""Which picture has which row on a device that keeps latents from step to step.

A step runs exactly the pictures of its batch: a row is written when its picture joins a batch, and read when it leaves
one or is looked at. With more pictures in flight than rows some leave and others join at every step; who stays is not
touched. It runs no graph by itself and knows no stage but the step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from service.domain.errors import BackendError
from service.domain.stage import Stage
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import F32, ResidentSteps
from xmdpt.sampler import IDENTITY_ROW

NOBODYS_STEP = np.array([0.0, 1.0, *IDENTITY_ROW], np.float32)
"""Numbers of a step that leaves a row's latents as they are."""


@dataclass(frozen=True)
class _Resident:
    """A picture on the device; the job tells it from an earlier one of the same key."""

    key: str
    job: PreparedJob


class Residents:
    """The rows of one device, for pictures of one working set."""

    def __init__(self, steps: ResidentSteps, working_set: WorkingSet, profile_sizes: Sequence[int]) -> None:
        """No row is taken."""
        self._steps, self._set, self._sizes = steps, working_set, profile_sizes
        self._rows: list[_Resident | None] = [None] * steps.max_rows

    def step(self, indices: Sequence[tuple[str, int]], call: Callable[[Callable[[F32], None], F32], None]) -> None:
        """Take a step of pictures by their keys, each with the numbers of its step of this index.

        Args:
            indices: of the pictures of the batch.
            call: calls the device.

        Raises:
            BackendError: the device could not; every picture is as before.
        """
        size = next(size for size in self._sizes if size >= len(indices))
        self._settle([key for key, _ in indices], size)
        numbers = np.tile(NOBODYS_STEP, (size, 1))
        for key, index in indices:
            numbers[self._row(key)] = self._set.step_rows[self._set.slot(key), index]
        call(self._steps.step, numbers)

    def fetch(self, keys: Sequence[str]) -> None:
        """Bring the working set's latents of these pictures up to date.

        Raises:
            BackendError: the device could not, or latents are not finite: nothing looks at them between steps.
        """
        for key in keys:
            row, slot = self._row(key), self._set.slot(key)
            latents = self._set.latents[slot] if row is None else self._steps.latents(row)
            # Also of who has left its row: what was copied then was not looked at.
            if not np.isfinite(np.vdot(latents, latents)):
                raise BackendError("backend_error", f"{Stage.DENOISE}: the latents hold values that are not finite")
            self._set.latents[slot] = latents

    def denoised(self, key: str) -> F32:
        """[4,32,32] that the picture's last step expects its latents to become."""
        row = self._row(key)
        return self._set.previous_denoised[self._set.slot(key)] if row is None else self._steps.denoised(row)

    def _settle(self, keys: Sequence[str], size: int) -> None:
        """Let these pictures and no others have rows, all of them below the size."""
        wanted = set(keys)
        for row, resident in enumerate(self._rows):
            if resident and not (resident.key in wanted and self._is_current(resident)):
                self._leave(row, resident)
        holes = iter([row for row in range(size) if self._rows[row] is None])
        for row in range(size, len(self._rows)):
            if self._rows[row]:
                to_row = next(holes)
                self._steps.move(row, to_row)
                self._rows[to_row], self._rows[row] = self._rows[row], None
        for key in keys:
            if self._row(key) is None:
                row, slot = next(holes), self._set.slot(key)
                arrays = self._set.latents, self._set.previous_denoised, self._set.condition
                self._steps.put(row, *(array[slot] for array in arrays))
                self._rows[row] = _Resident(key, self._set.job(key))

    def _leave(self, row: int, resident: _Resident) -> None:
        if self._is_current(resident):
            slot = self._set.slot(resident.key)
            self._set.latents[slot] = self._steps.latents(row)
            self._set.previous_denoised[slot] = self._steps.denoised(row)
        self._rows[row] = None

    def _is_current(self, resident: _Resident) -> bool:
        return resident.key in self._set and self._set.job(resident.key) is resident.job

    def _row(self, key: str) -> int | None:
        return next((row for row, resident in enumerate(self._rows) if resident and resident.key == key), None)
