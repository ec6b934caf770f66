"""Measures how fast the backend is with how many rows, and leaves it warm for the execution that follows from that.

It decides nothing itself: `service.scheduling.cost_model` does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TypeVar

from service.domain.capacity import Capacity, StepCurve
from service.domain.errors import ResourceExhaustedError
from service.domain.execution import Execution
from service.domain.stage import Stage
from service.engine.warmup import LOOP_STEPS, stage_calls, warm_up
from service.ports.backend import InferenceBackend
from service.scheduling.cost_model import choose_capacity

# The median of so many is steady; more would only cost time.
_MAX_REPETITIONS = 31
# Of the budget, for all other stages together.
_STAGES_SHARE = 0.2
# Likewise for steps in low precision.
_LOW_SHARE = 0.1
_LOW = Stage.DENOISE_LOW.value
# CANet computes next to nothing: a call of it is what a call costs.
_QUICKEST = Stage.CONDITION
_DENOISING = {Execution.STEPWISE: Stage.DENOISE, Execution.WHOLE_LOOP: Stage.SAMPLE}

Clock = Callable[[], float]
K = TypeVar("K", int, str)


def calibrate(
    backend: InferenceBackend,
    max_batch: int,
    execution: Execution | None,
    num_slots: int | None,
    budget_seconds: float = 2.0,
    clock: Clock = time.monotonic,
) -> Capacity:
    """Time the stages, choose how to work, and run every size that may occur once.

    Only one of the two denoising graphs is asked for at a time: to choose between them the step alone is measured,
    because a loop is the same step without the calls between.

    Args:
        backend: opened for `execution`, or for steps if that is None.
        max_batch: most rows of a call; fewer are tried if more take too long or don't fit into memory.
        execution: None if it is to be chosen; likewise num_slots.
        num_slots: jobs in flight.
        budget_seconds: about how long the timing of steps may last; two sizes are timed whatever that takes.
        clock: monotonic seconds.

    Raises:
        BackendError: a graph can't run.
        ModelRepositoryError: the graph of the chosen execution doesn't load.
    """
    asked = execution or Execution.STEPWISE
    sizes = _sizes(backend, max_batch)
    warm_up(backend, sizes[0], asked)
    stage_seconds = _stage_seconds(backend, sizes[0], asked, budget_seconds * _STAGES_SHARE, clock)
    curve, max_rows = _curve(backend, sizes, asked, stage_seconds[_QUICKEST], budget_seconds, clock)
    while True:
        capacity = choose_capacity(curve, stage_seconds, max_rows, execution, num_slots, backend.max_low_rows)
        try:
            backend.choose(capacity.execution)
            for num_rows in _sizes_in_use(backend, capacity.max_batch):
                warm_up(backend, num_rows, capacity.execution)
        except ResourceExhaustedError:
            # An encoder, the decoder or the other denoising graph may need more than a step does.
            if capacity.max_batch == 1:
                raise
            max_rows = capacity.max_batch // 2
        else:
            ratio = _low_step_ratio(backend, capacity, budget_seconds * _LOW_SHARE, clock)
            return replace(capacity, low_step_ratio=ratio)


def _sizes(backend: InferenceBackend, max_batch: int) -> list[int]:
    """Numbers of rows worth a measurement, growing."""
    if backend.profile_sizes:
        return [size for size in backend.profile_sizes if size <= max_batch]
    return [2**power for power in range(max_batch.bit_length()) if 2**power < max_batch] + [max_batch]


def _sizes_in_use(backend: InferenceBackend, max_batch: int) -> set[int]:
    """Numbers of rows to be warm for: every profile that a batch may be padded to, or the ends of the range."""
    if not backend.profile_sizes:
        return {1, max_batch}
    return {next(size for size in backend.profile_sizes if size >= rows) for rows in range(1, max_batch + 1)}


def _stage_seconds(
    backend: InferenceBackend, num_rows: int, execution: Execution, budget_seconds: float, clock: Clock
) -> Mapping[str, float]:
    """Time of each stage but the denoising; the backend is warm."""
    calls = {stage.value: call for stage, call in stage_calls(backend, num_rows, execution).items()}
    del calls[_DENOISING[execution]]
    calls.pop(Stage.DENOISE_LOW, None)
    # By itself, because much depends on it and many calls of it fit.
    quick = {_QUICKEST.value: calls.pop(_QUICKEST)}
    medians: dict[str, float] = {}
    for group in (calls, quick):
        times = {name: [_seconds(call, clock)] for name, call in group.items()}
        medians |= _medians(group, times, clock() + budget_seconds / 2, clock)
    return {stage.value: medians[stage] for stage in Stage if stage in medians}


def _low_step_ratio(backend: InferenceBackend, capacity: Capacity, budget_seconds: float, clock: Clock) -> float:
    """A step in low precision over another one, of as many rows as batches in low precision may have; all is warm.

    Where these are more than its graph takes, it costs several calls, however little rows cost otherwise.
    """
    # Of sizes that were timed.
    points, most_rows = capacity.curve.points, capacity.most_rows(is_low=True)
    num_rows, seconds = max((point for point in points if point[0] <= most_rows), default=points[0])
    call = stage_calls(backend, num_rows, Execution.STEPWISE).get(Stage.DENOISE_LOW)
    if call is None or not seconds:
        return 1.0
    times = _medians({_LOW: call}, {_LOW: [_seconds(call, clock)]}, clock() + budget_seconds, clock)
    return times[_LOW] / seconds


def _curve(
    backend: InferenceBackend,
    sizes: Sequence[int],
    execution: Execution,
    call_seconds: float,
    budget_seconds: float,
    clock: Clock,
) -> tuple[StepCurve, int]:
    """The curve over as many sizes as there is time for, and the largest size that memory allows."""
    started = clock()
    calls: dict[int, Callable[[], object]] = {}
    times: dict[int, list[float]] = {}
    max_rows = sizes[-1]
    for num_rows in sizes:
        # Two sizes at least tell what batching brings. Twice, because a size's first call is not timed; half of the
        # budget is for repetitions.
        if len(times) > 1 and 2 * num_rows * times[max(times)][0] / max(times) > started + budget_seconds / 2 - clock():
            break
        call = stage_calls(backend, num_rows, execution)[_DENOISING[execution]]
        try:
            call()
            times[num_rows] = [_seconds(call, clock)]
        except ResourceExhaustedError:
            if not times:
                raise
            max_rows = max(times)
            break
        calls[num_rows] = call
    points = list(_medians(calls, times, started + budget_seconds, clock).items())
    # Measured, it may come out above a quick step.
    call_seconds = min(call_seconds, *(seconds for _, seconds in points))
    if execution is Execution.WHOLE_LOOP:
        points = [(rows, call_seconds + (seconds - call_seconds) / LOOP_STEPS) for rows, seconds in points]
    return StepCurve(points, call_seconds), max_rows


def _medians(
    calls: Mapping[K, Callable[[], object]], times: Mapping[K, list[float]], ends_at: float, clock: Clock
) -> dict[K, float]:
    """Add rounds of all calls to the times that are there, as many as fit.

    In rounds, so that what else the computer does for a moment disturbs all of them alike.
    """
    num_rounds = 1
    while num_rounds < _MAX_REPETITIONS and clock() + sum(seconds[-1] for seconds in times.values()) <= ends_at:
        for name, call in calls.items():
            times[name].append(_seconds(call, clock))
        num_rounds += 1
    return {name: median(seconds) for name, seconds in times.items()}


def _seconds(call: Callable[[], object], clock: Clock) -> float:
    started = clock()
    call()
    return clock() - started
