"""Runs every graph at every batch size before the worker says that it is ready.

The first run of a shape allocates and plans; no client should pay for that, and a graph that can't run should stop
the start, not a job.
"""

import numpy as np

from service.ports.backend import InferenceBackend
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import IMAGE_SIZE


def warm_up(backend: InferenceBackend, max_batch: int) -> int:
    """Run all stages at batch 1 .. max_batch.

    Returns:
        D, the width of the condition, which the working set needs.

    Raises:
        BackendError: a graph can't run.
    """
    plan = sampling_plan(2, 2.0)
    width = 0
    for rows in range(1, max_batch + 1):
        pixels = np.zeros((rows, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        condition = backend.condition(backend.encode_source(pixels), backend.encode_pose(pixels))
        noise = np.repeat(initial_noise(0)[None], rows, axis=0)
        timestep, guidance, coefficients = (
            np.repeat(table[:1], rows, axis=0).reshape(rows, -1)
            for table in (plan.timesteps, plan.guidance, plan.coefficients)
        )
        latents, _ = backend.denoise_step(noise, np.zeros_like(noise), condition, timestep, guidance, coefficients)
        backend.decode(latents)
        width = condition.shape[1]
    return width
