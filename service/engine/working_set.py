"""The arrays of the jobs in flight, stacked by slot so that a batch is one gather, or none where slots are neighbours.

It runs no stage and knows no lease; `service.engine.executor` reads and writes it.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from service.domain.request import MAX_STEPS
from service.domain.stage import Stage
from service.ports.backend import F32, U8
from xmdpt.sampler import SamplingPlan
from xmdpt.spec import LATENT_SHAPE


@dataclass(frozen=True)
class PreparedJob:
    """What a job brings along.

    Attributes:
        pictures: [256,256,3] uint8 RGB for each encoder that has to run.
        noise: [images,4,32,32] float32, drawn from the seed, the seed + 1, and so on.
        plan: timesteps, guidance weights and coefficient rows.
        is_low: its steps are computed in low precision, and its picture if it can be.
    """

    pictures: Mapping[Stage, U8]
    noise: F32
    plan: SamplingPlan
    is_low: bool = False


class WorkingSet:
    """Slots 0 .. num_slots-1; each holds the arrays of one picture of a flight from its arrival until it leaves.

    Attributes:
        latents: [slots,4,32,32] float32; likewise previous_denoised.
        step_rows: [slots,250,7] float32; timestep, guidance weight and coefficients of each step.
        source_vector: [slots,D] float32; likewise pose_vector, condition.
        pictures: [256,256,3] uint8 RGB by key, once decoded.
    """

    def __init__(self, num_slots: int, width: int) -> None:
        """Allocate for num_slots pictures of a model of this width."""
        self.latents = np.zeros((num_slots, *LATENT_SHAPE), np.float32)
        self.previous_denoised = np.zeros_like(self.latents)
        self.step_rows = np.zeros((num_slots, MAX_STEPS, 7), np.float32)
        self.source_vector = np.zeros((num_slots, width), np.float32)
        self.pose_vector = np.zeros_like(self.source_vector)
        self.condition = np.zeros_like(self.source_vector)
        self.pictures: dict[str, U8] = {}
        self._jobs: dict[str, tuple[int, PreparedJob]] = {}
        self._free = list(range(num_slots))

    def __contains__(self, key: str) -> bool:
        """True while the picture holds a slot."""
        return key in self._jobs

    def add(self, key: str, job: PreparedJob, index: int = 0) -> int:
        """Give the job's picture of this index a slot, under a key of its own; returns which.

        Raises:
            IndexError: no slot is free; the caller claimed more than the scheduler offered.
        """
        slot = heapq.heappop(self._free)  # the lowest, so that those in use stay neighbours
        self.latents[slot] = job.noise[index]
        self.previous_denoised[slot] = 0
        steps = slice(len(job.plan.timesteps))
        self.step_rows[slot, steps, 0] = job.plan.timesteps
        self.step_rows[slot, steps, 1] = job.plan.guidance
        self.step_rows[slot, steps, 2:] = job.plan.coefficients
        self._jobs[key] = slot, job
        return slot

    def slot(self, key: str) -> int:
        """The row that is the picture's in every stacked array."""
        return self._jobs[key][0]

    def job(self, key: str) -> PreparedJob:
        """What the picture's job brought along."""
        return self._jobs[key][1]

    def remove(self, key: str) -> U8 | None:
        """Free the slot, absent is fine; returns the picture if it has been decoded."""
        if key in self._jobs:
            heapq.heappush(self._free, self._jobs.pop(key)[0])
        return self.pictures.pop(key, None)
