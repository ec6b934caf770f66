"""Runs every graph at its smallest and its largest batch before the worker says that it is ready.

The largest makes the runtime allocate all that it will need, the smallest is what a lone client meets; a graph that
can't run stops the start, not a job.
"""

import numpy as np

from service.ports.backend import InferenceBackend
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import IMAGE_SIZE


def warm_up(backend: InferenceBackend, max_batch: int) -> None:
    """Run all stages with max_batch rows, then with one.

    Raises:
        BackendError: a graph can't run.
    """
    plan = sampling_plan(2, 2.0)
    for rows in (max_batch, 1):
        pixels = np.zeros((rows, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        condition = backend.condition(backend.encode_source(pixels), backend.encode_pose(pixels))
        noise = np.repeat(initial_noise(0)[None], rows, axis=0)
        timestep, guidance, coefficients = (
            np.repeat(table[:1], rows, axis=0).reshape(rows, -1)
            for table in (plan.timesteps, plan.guidance, plan.coefficients)
        )
        latents, _ = backend.denoise_step(noise, np.zeros_like(noise), condition, timestep, guidance, coefficients)
        backend.decode(latents)
