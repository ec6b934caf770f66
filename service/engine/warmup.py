"""Runs every graph before the worker says that it is ready, and says beforehand what its times will look like.

A graph that can't run stops the start, not a job. How long calls last is `service.engine.calibration`'s.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from service.domain.capacity import Capacity
from service.domain.execution import Execution
from service.domain.request import DEFAULT_GUIDANCE, DEFAULT_STEPS
from service.domain.stage import Stage
from service.ports.backend import InferenceBackend, ResidentBackend
from xmdpt.sampler import initial_noise, sampling_plan, stack_plans
from xmdpt.spec import IMAGE_SIZE, VARIANTS

LOOP_STEPS = 2
"""Denoising steps in a whole loop of `stage_calls`."""


def warm_up(backend: InferenceBackend, num_rows: int, execution: Execution) -> None:
    """Run all stages once, with so many rows: a runtime allocates at a size's first call what later ones use.

    No job may be in flight.

    Raises:
        BackendError: a graph can't run.
    """
    for call in stage_calls(backend, num_rows, execution).values():
        call()
    if execution is Execution.STEPWISE and isinstance(backend, ResidentBackend) and backend.resident_steps:
        backend.resident_steps.capture(num_rows)


def stage_calls(backend: InferenceBackend, num_rows: int, execution: Execution) -> Mapping[Stage, Callable[[], object]]:
    """The backend's call of each stage of a job, ready with arrays of so many rows that mean nothing."""
    pixels = np.zeros((num_rows, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    vectors = np.zeros((num_rows, VARIANTS[backend.variant].width), np.float32)
    noise = np.repeat(initial_noise(0)[None], num_rows, axis=0)
    plan = stack_plans([sampling_plan(LOOP_STEPS, DEFAULT_GUIDANCE)] * num_rows)
    calls = {
        Stage.ENCODE_SOURCE: partial(backend.encode_source, pixels),
        Stage.ENCODE_POSE: partial(backend.encode_pose, pixels),
        Stage.CONDITION: partial(backend.condition, vectors, vectors),
        Stage.DECODE: partial(backend.decode, noise),
    }
    step = noise, noise, vectors, plan.timesteps[:, :1], plan.guidance[:, :1], plan.coefficients[:, 0]
    if backend.low_precision is not None:
        calls |= {Stage.DENOISE_LOW: partial(backend.denoise_step_low, *step)}
    if backend.has_low_decoder:
        calls |= {Stage.DECODE_LOW: partial(backend.decode_low, noise)}
    if execution is Execution.WHOLE_LOOP:
        loop = partial(backend.sample, noise, vectors, plan.timesteps, plan.guidance, plan.coefficients)
        return calls | {Stage.SAMPLE: loop}
    if isinstance(backend, ResidentBackend) and backend.resident_steps:
        return calls | {Stage.DENOISE: partial(backend.resident_steps.try_step, num_rows)}
    return calls | {Stage.DENOISE: partial(backend.denoise_step, *step)}


def stall_warning(capacity: Capacity, stall_timeout_seconds: float) -> str | None:
    """Return what to say if whole loops will look like a device that hangs: they make no progress before their end.

    Args:
        capacity: as the worker will work.
        stall_timeout_seconds: how long a job, or a turn of the worker, may last without progress.
    """
    curve, max_batch = capacity.curve, capacity.max_batch
    seconds = curve.call_seconds + (curve.seconds(max_batch) - curve.call_seconds) * DEFAULT_STEPS
    if capacity.execution is Execution.STEPWISE or seconds <= stall_timeout_seconds:
        return None
    return (
        f"a whole loop of {DEFAULT_STEPS} steps and {max_batch} rows takes about {seconds:.0f} s without progress, and "
        f"XMDPT_QUEUE__STALL_TIMEOUT_SECONDS={stall_timeout_seconds} takes its jobs away and calls this worker dead "
        "before that: raise it, or lower XMDPT_WORKER__MAX_BATCH"
    )
