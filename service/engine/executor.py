"""Performs one RunBatch: gathers rows from the working set, calls the graph, scatters what comes out.

It decides nothing: the scheduler chose the stage and the rows.
"""

import numpy as np

from service.domain.errors import BackendError
from service.domain.stage import Stage
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import F32, InferenceBackend
from service.scheduling.actions import RunBatch
from xmdpt.sampler import stack_plans


class Executor:
    """Runs batches of one backend over one working set."""

    def __init__(self, backend: InferenceBackend, working_set: WorkingSet) -> None:
        """Neither is owned: the worker adds and removes jobs."""
        self._backend = backend
        self._set = working_set

    def run(self, batch: RunBatch) -> None:
        """Run the batch; the working set changes only if every row's output can be trusted.

        Raises:
            BackendError: the graph raised, or an output is not finite.
        """
        slots = [self._set.slot(row.job_id) for row in batch.rows]
        jobs = [self._set.job(row.job_id) for row in batch.rows]
        match batch.stage:
            case Stage.ENCODE_SOURCE:
                vectors = self._backend.encode_source(np.stack([job.photo for job in jobs]))
                self._set.source_vector[slots] = _checked(batch.stage, vectors)
            case Stage.ENCODE_POSE:
                vectors = self._backend.encode_pose(np.stack([job.skeleton for job in jobs]))
                self._set.pose_vector[slots] = _checked(batch.stage, vectors)
            case Stage.CONDITION:
                condition = self._backend.condition(self._set.source_vector[slots], self._set.pose_vector[slots])
                self._set.condition[slots] = _checked(batch.stage, condition)
            case Stage.DENOISE:
                self._denoise(slots, jobs, [row.step_index for row in batch.rows])
            case Stage.SAMPLE:
                self._sample(slots, jobs)
            case Stage.DECODE:
                pictures = self._backend.decode(self._set.latents[slots])
                self._set.pictures.update((row.job_id, p) for row, p in zip(batch.rows, pictures, strict=True))

    def _denoise(self, slots: list[int], jobs: list[PreparedJob], steps: list[int]) -> None:
        """One step of every row, each with the coefficient row of its own step."""
        plans = [(job.plan, step) for job, step in zip(jobs, steps, strict=True)]
        latents, denoised = self._backend.denoise_step(
            self._set.latents[slots],
            self._set.previous_denoised[slots],
            self._set.condition[slots],
            np.array([[plan.timesteps[step]] for plan, step in plans], np.float32),
            np.array([[plan.guidance[step]] for plan, step in plans], np.float32),
            np.stack([plan.coefficients[step] for plan, step in plans]),
        )
        self._set.latents[slots] = _checked(Stage.DENOISE, latents)
        self._set.previous_denoised[slots] = denoised

    def _sample(self, slots: list[int], jobs: list[PreparedJob]) -> None:
        """All steps of every row; until now its latents are the noise that it came with."""
        plan = stack_plans([job.plan for job in jobs])
        latents = self._backend.sample(
            self._set.latents[slots], self._set.condition[slots], plan.timesteps, plan.guidance, plan.coefficients
        )
        self._set.latents[slots] = _checked(Stage.SAMPLE, latents)


def _checked(stage: Stage, output: F32) -> F32:
    """Refuse numbers that would turn into a plausible but wrong picture."""
    if not np.isfinite(output).all():
        raise BackendError("backend_error", f"{stage}: the output holds values that are not finite")
    return output
