"""Performs one RunBatch: gathers rows from the working set, calls the graph, scatters what comes out.

It decides nothing: the scheduler chose the stage and the rows.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import TypeVar

import numpy as np

from service.domain.errors import BackendError
from service.domain.stage import Stage
from service.engine.residents import NOBODYS_STEP, Residents
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import F32, U8, InferenceBackend, ResidentBackend
from service.scheduling.actions import RunBatch
from xmdpt.sampler import SamplingPlan, stack_plans
from xmdpt.spec import IMAGE_SIZE

T = TypeVar("T")
Slots = slice | list[int]


def _nothing(_stage: Stage) -> None:
    """Nobody waits for the call."""


class Executor:
    """Runs batches of one backend over one working set."""

    def __init__(
        self, backend: InferenceBackend, working_set: WorkingSet, before_call: Callable[[Stage], None] = _nothing
    ) -> None:
        """Neither of the first two is owned: the worker adds and removes jobs.

        Args:
            backend: the device.
            working_set: the arrays.
            before_call: called last before the device has a batch's first work, for what may be done beside that.
        """
        self._backend, self._before_call = backend, before_call
        self._set = working_set
        steps = backend.resident_steps if isinstance(backend, ResidentBackend) else None
        self._residents = Residents(steps, working_set, backend.profile_sizes) if steps else None
        # Of the batch at work: slot, key and first step of each row.
        self._rows: Sequence[tuple[int, str, int]] = ()
        self._slots: Slots = []
        # Of all of its steps, [steps,B,7].
        self._numbers = np.zeros((0, 0, 7), np.float32)
        self._is_first = True

    def run(self, batch: RunBatch, step: int = 0) -> None:
        """Run the batch; the working set changes only if every row's output can be trusted.

        Args:
            batch: no row has left since its first step.
            step: which of its steps, 0 .. num_steps-1.

        Raises:
            BackendError: the graph raised, or an output has another shape or type, or is not finite.
        """
        self._is_first = step == 0
        if self._is_first:
            # In the order of their slots: what lies side by side is read and written without a copy.
            self._rows = sorted((self._set.slot(row.job_id), row.job_id, row.step_index) for row in batch.rows)
            self._slots = _index([slot for slot, _, _ in self._rows])
        rows, slots = self._rows, self._slots
        # A backend with profiles takes only certain numbers of rows: the rows beyond ours are nobody's. Graphs in low
        # precision have no profiles, and each row may cost a call.
        padding = 0 if batch.stage.is_low else self._padded(len(rows)) - len(rows)
        match batch.stage:
            case Stage.ENCODE_SOURCE:
                pictures = self._pictures(batch.stage, rows, padding)
                vectors = self._call(batch.stage, self._backend.encode_source, pictures)
                self._set.source_vector[slots] = self._vectors(batch.stage, vectors, len(rows))
            case Stage.ENCODE_POSE:
                pictures = self._pictures(batch.stage, rows, padding)
                vectors = self._call(batch.stage, self._backend.encode_pose, pictures)
                self._set.pose_vector[slots] = self._vectors(batch.stage, vectors, len(rows))
            case Stage.CONDITION:
                given = _pad(self._set.source_vector[slots], padding), _pad(self._set.pose_vector[slots], padding)
                condition = self._call(batch.stage, self._backend.condition, *given)
                self._set.condition[slots] = self._vectors(batch.stage, condition, len(rows))
            case Stage.DENOISE if self._residents:
                indices = [(key, first + step) for _, key, first in rows]
                self._residents.step(indices, partial(self._call, batch.stage))
            case Stage.DENOISE | Stage.DENOISE_LOW:
                if self._is_first:
                    steps = np.array([first for _, _, first in rows]) + np.arange(batch.num_steps)[:, None]
                    self._numbers = self._set.step_rows[[slot for slot, _, _ in rows], steps]
                self._denoise(batch.stage, slots, self._numbers[step], padding)
            case Stage.SAMPLE:
                self._sample(slots, self._jobs(rows), padding)
            case Stage.DECODE | Stage.DECODE_LOW:
                if self._residents:
                    self._residents.fetch([key for _, key, _ in rows])
                latents = _pad(self._set.latents[slots], padding)
                graph = self._backend.decode_low if batch.stage.is_low else self._backend.decode
                pictures = _checked_pictures(batch.stage, self._call(batch.stage, graph, latents), len(rows))
                self._set.pictures.update((key, picture) for (_, key, _), picture in zip(rows, pictures, strict=True))

    def encode(self, stage: Stage, picture: U8) -> F32:
        """The vector [D] of one picture that is no job's; raises as `run`."""
        graph = self._backend.encode_source if stage is Stage.ENCODE_SOURCE else self._backend.encode_pose
        self._is_first = True
        return self._vectors(stage, self._call(stage, graph, picture[None]), 1)[0]

    def denoised(self, key: str) -> F32:
        """[4,32,32] that a picture's last step expects its latents to become."""
        return self._residents.denoised(key) if self._residents else self._set.previous_denoised[self._set.slot(key)]

    def _jobs(self, rows: Sequence[tuple[int, str, int]]) -> list[PreparedJob]:
        return [self._set.job(key) for _, key, _ in rows]

    def _call(self, stage: Stage, graph: Callable[..., T], *arrays: np.ndarray) -> T:
        # Between steps of one batch nothing has happened that anybody could be given.
        if self._is_first:
            self._before_call(stage)
        return graph(*arrays)

    def _pictures(self, stage: Stage, rows: Sequence[tuple[int, str, int]], padding: int) -> U8:
        return _pad(np.stack([job.pictures[stage] for job in self._jobs(rows)]), padding)

    def _padded(self, num_rows: int) -> int:
        return next((size for size in self._backend.profile_sizes if size >= num_rows), num_rows)

    def _vectors(self, stage: Stage, output: F32, num_rows: int) -> F32:
        return _checked(stage, output, num_rows, self._set.condition.shape[1:])

    def _denoise(self, stage: Stage, slots: Slots, numbers: F32, padding: int) -> None:
        """One step of every row, each with the numbers of its own step, [B,7]."""
        num_rows = len(numbers)
        graph = self._backend.denoise_step_low if stage.is_low else self._backend.denoise_step
        if padding:
            numbers = np.concatenate([numbers, np.tile(NOBODYS_STEP, (padding, 1))])
        latents, denoised = self._call(
            stage,
            graph,
            _pad(self._set.latents[slots], padding),
            _pad(self._set.previous_denoised[slots], padding),
            _pad(self._set.condition[slots], padding),
            numbers[:, 0:1],
            numbers[:, 1:2],
            numbers[:, 2:],
        )
        shape = self._set.latents.shape[1:]
        latents, denoised = _shaped(stage, latents, num_rows, shape), _shaped(stage, denoised, num_rows, shape)
        _check_finite(stage, latents, denoised)
        self._set.previous_denoised[slots] = denoised
        self._set.latents[slots] = latents

    def _sample(self, slots: Slots, jobs: list[PreparedJob], padding: int) -> None:
        """All steps of every row; until now its latents are the noise that it came with."""
        nobodys = SamplingPlan(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros((0, 5), np.float32))
        plan = stack_plans([job.plan for job in jobs] + [nobodys] * padding)
        latents = self._call(
            Stage.SAMPLE,
            self._backend.sample,
            _pad(self._set.latents[slots], padding),
            _pad(self._set.condition[slots], padding),
            plan.timesteps,
            plan.guidance,
            plan.coefficients,
        )
        self._set.latents[slots] = _checked(Stage.SAMPLE, latents, len(jobs), self._set.latents.shape[1:])


def _index(slots: list[int]) -> Slots:
    """What picks these growing slots; a slice where they are neighbours."""
    return slice(slots[0], slots[-1] + 1) if slots[-1] - slots[0] == len(slots) - 1 else slots


def _pad(rows: np.ndarray, padding: int) -> np.ndarray:
    """Add so many rows of zeros."""
    return np.concatenate([rows, np.zeros((padding, *rows.shape[1:]), rows.dtype)]) if padding else rows


def _checked(stage: Stage, output: F32, num_rows: int, shape: tuple[int, ...]) -> F32:
    """Our rows of an output, unless they would turn into a plausible but wrong picture."""
    output = _shaped(stage, output, num_rows, shape)
    _check_finite(stage, output, output)
    return output


def _shaped(stage: Stage, output: F32, num_rows: int, shape: tuple[int, ...]) -> F32:
    if output.shape[1:] != shape or len(output) < num_rows or output.dtype != np.float32:
        raise BackendError("backend_error", f"{stage}: the output is {output.dtype} of shape {output.shape}")
    return output[:num_rows]


def _check_finite(stage: Stage, output: F32, other: F32) -> None:
    """Look at two outputs of one shape, or twice at one."""
    # A sum of products is finite only if all factors are: a third of the time of looking at each.
    if not isfinite(np.vdot(output, other)):
        raise BackendError("backend_error", f"{stage}: the output holds values that are not finite")


def _checked_pictures(stage: Stage, output: U8, num_rows: int) -> U8:
    if output.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE, 3) or len(output) < num_rows or output.dtype != np.uint8:
        raise BackendError("backend_error", f"{stage}: the output is {output.dtype} of shape {output.shape}")
    return output[:num_rows]
