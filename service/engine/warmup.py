"""Runs every graph at its smallest and its largest batch before the worker says that it is ready.

The largest makes the runtime allocate all that it will need, the smallest is what a lone client meets; a graph that
can't run stops the start, not a job. And it says beforehand if whole loops will look like a device that hangs.
"""

import time

import numpy as np

from service.domain.execution import Execution
from service.domain.request import DEFAULT_STEPS
from service.ports.backend import F32, InferenceBackend
from xmdpt.sampler import SamplingPlan, initial_noise, sampling_plan, stack_plans
from xmdpt.spec import IMAGE_SIZE, VARIANTS

_NUM_STEPS = 2


def warm_up(backend: InferenceBackend, max_batch: int, execution: Execution = Execution.STEPWISE) -> None:
    """Run all stages with max_batch rows, then with one.

    Raises:
        BackendError: a graph can't run.
    """
    for rows in (max_batch, 1):
        pixels = np.zeros((rows, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        condition = backend.condition(backend.encode_source(pixels), backend.encode_pose(pixels))
        denoise = _step if execution is Execution.STEPWISE else _loop
        backend.decode(denoise(backend, condition))


def stall_warning(backend: InferenceBackend, max_batch: int, stall_timeout_seconds: float) -> str | None:
    """Time a short loop of max_batch rows, and return what to say if one of `DEFAULT_STEPS` would last too long.

    A loop makes no progress before its end, so the queue takes its jobs away and the worker counts as dead.

    Args:
        backend: warm.
        max_batch: most rows of a loop.
        stall_timeout_seconds: how long a job, or a turn of the worker, may last without progress.

    Raises:
        BackendError: the graph can't run.
    """
    condition = np.zeros((max_batch, VARIANTS[backend.variant].width), np.float32)
    started = time.monotonic()
    _loop(backend, condition)
    # The call's own cost counts with each step: next to a timeout of seconds it is nothing.
    seconds = (time.monotonic() - started) / _NUM_STEPS * DEFAULT_STEPS
    if seconds <= stall_timeout_seconds:
        return None
    return (
        f"a whole loop of {DEFAULT_STEPS} steps and {max_batch} rows takes about {seconds:.0f} s without progress, and "
        f"XMDPT_QUEUE__STALL_TIMEOUT_SECONDS={stall_timeout_seconds} takes its jobs away and calls this worker dead "
        "before that: raise it, or lower XMDPT_WORKER__MAX_BATCH"
    )


def _step(backend: InferenceBackend, condition: F32) -> F32:
    noise = _noise(len(condition))
    plan = _plan(len(condition))
    first = plan.timesteps[:, :1], plan.guidance[:, :1], plan.coefficients[:, 0]
    return backend.denoise_step(noise, np.zeros_like(noise), condition, *first)[0]


def _loop(backend: InferenceBackend, condition: F32) -> F32:
    plan = _plan(len(condition))
    return backend.sample(_noise(len(condition)), condition, plan.timesteps, plan.guidance, plan.coefficients)


def _plan(num_rows: int) -> SamplingPlan:
    return stack_plans([sampling_plan(_NUM_STEPS, 2.0)] * num_rows)


def _noise(num_rows: int) -> F32:
    return np.repeat(initial_noise(0)[None], num_rows, axis=0)
