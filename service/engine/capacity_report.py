"""What a calibration found, for people and for machines.

It decides nothing: why a choice was made is read off the figures that `service.scheduling.cost_model` had.
"""

from typing import Any

from service.domain.capacity import Capacity
from service.domain.execution import Execution
from service.domain.request import DEFAULT_STEPS


def capacity_document(capacity: Capacity) -> dict[str, Any]:
    """Everything as JSON: times in seconds."""
    curve = capacity.curve
    return {
        "steps": [{"rows": rows, "seconds": seconds} for rows, seconds in curve.points],
        "call_seconds": curve.call_seconds,
        "stage_seconds": dict(capacity.stage_seconds),
        "low_step_ratio": capacity.low_step_ratio,
        "max_low_batch": capacity.most_rows(is_low=True),
        "execution": capacity.execution.value,
        "max_batch": capacity.max_batch,
        "num_slots": capacity.num_slots,
        "is_shortest_first": capacity.is_shortest_first,
    }


def capacity_page(capacity: Capacity, *, is_execution_set: bool, are_slots_set: bool) -> str:
    """The same as text: the curve as a table, the other stages, and each choice with its reason.

    Args:
        capacity: as the worker works.
        is_execution_set: by the operator, and not chosen.
        are_slots_set: likewise.
    """
    lines = [f"rows   ms a step   images/s of {DEFAULT_STEPS} steps"]
    for rows, seconds in capacity.curve.points:
        rate = f"{rows / (seconds * DEFAULT_STEPS):.2f}" if seconds else "-"
        lines.append(f"{rows:4}{_ms(seconds):>12}{rate:>24}")
    lines += ["", "stage              ms a call of one row"]
    lines += [f"{stage:15}{_ms(seconds):>24}" for stage, seconds in capacity.stage_seconds.items()]
    if capacity.low_step_ratio != 1:
        rows = _rows(capacity.most_rows(is_low=True))
        lines += ["", f"a step in low precision, of {rows} at most, takes {capacity.low_step_ratio:.2f} times as long"]
    execution = "set by XMDPT_WORKER__EXECUTION" if is_execution_set else _why_execution(capacity)
    slots = "set by XMDPT_WORKER__MAX_SLOTS" if are_slots_set else _why_slots(capacity)
    return "\n".join(
        [
            *lines,
            "",
            f"execution   {capacity.execution:<12}{execution}",
            f"batch       {capacity.max_batch:<12}{_why_batch(capacity)}",
            f"slots       {capacity.num_slots:<12}{slots}",
            f"order       {'shortest' if capacity.is_shortest_first else 'arrival':<12}{_why_order(capacity)}",
            "",
        ]
    )


def _why_execution(capacity: Capacity) -> str:
    curve = capacity.curve
    seconds = curve.seconds(capacity.max_batch)
    share = f"{curve.call_seconds / seconds:.0%}" if seconds else "all"
    cost = f"a call costs {_ms(curve.call_seconds)} ms, {share} of a step of {_rows(capacity.max_batch)}"
    if capacity.execution is Execution.STEPWISE:
        return f"{cost}: little enough to pay with each step"
    return f"{cost}: too much to pay with each step"


def _why_batch(capacity: Capacity) -> str:
    curve, batch = capacity.curve, capacity.max_batch
    alone = curve.seconds(1)
    if batch > 1:
        gain = f"{batch * alone / curve.seconds(batch):.1f}" if curve.seconds(batch) else "-"
        return f"{_rows(batch)} take {_ms(curve.seconds(batch))} ms together: {gain} times the images of one by one"
    if curve.max_rows > 1 and alone:
        rows, seconds = curve.points[1]
        return f"{_rows(rows)} together take {seconds / alone:.2f} times as long as one: sharing brings next to nothing"
    return "no more rows were tried"


def _why_slots(capacity: Capacity) -> str:
    if capacity.num_slots == capacity.max_batch:
        return "as many jobs in flight as rows in a batch"
    if capacity.execution is Execution.WHOLE_LOOP:
        return "several batches of jobs in flight, so that those of equal steps meet"
    if capacity.is_shortest_first:
        return "more jobs in flight than rows in a batch, so that there are short ones to choose"
    return "more jobs in flight than rows in a batch, so that the next one is ready"


def _why_order(capacity: Capacity) -> str:
    if capacity.is_shortest_first and capacity.max_batch == 1:
        return "one job at a time, so the one with the least left goes first; who waits long moves up"
    if capacity.is_shortest_first:
        return "a row more costs nearly as much as a step, so the least left goes first; who waits long moves up"
    return "jobs share their calls, so they go as they came"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"
