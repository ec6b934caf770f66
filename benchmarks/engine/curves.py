"""Simulated workers: the step curves of the virtual models, slowed down so that a real engine can keep up with them."""

from collections.abc import Mapping

from benchmarks.policies.stream import CURVE_L, CURVE_S, NUM_ROWS
from service.domain.capacity import StepCurve
from service.scheduling.cost_model import CLAIMED_AHEAD

STRETCH = 10
"""So many times slower: the time of a step then hides what the computer at hand is not fast enough for."""
# Jobs that a worker of whole loops holds, so that those of equal steps meet.
_BUCKET_SLOTS = 3 * NUM_ROWS


def stretched(curve: StepCurve) -> StepCurve:
    """The same shape, `STRETCH` times slower."""
    return StepCurve(tuple((rows, STRETCH * seconds) for rows, seconds in curve.points))


CURVES: Mapping[str, StepCurve] = {"S": stretched(CURVE_S), "L": stretched(CURVE_L)}
INSTANT = StepCurve(((1, 0.0), (NUM_ROWS, 0.0)))


def full_rate(curve: StepCurve) -> float:
    """Row-steps a second when all slots are always full."""
    return NUM_ROWS / curve.seconds(NUM_ROWS)


def stepwise_settings(curve: StepCurve) -> dict[str, str]:
    """Of a worker whose jobs share each step."""
    return _settings(curve) | {"WORKER__EXECUTION": "stepwise", "WORKER__MAX_SLOTS": str(NUM_ROWS + CLAIMED_AHEAD)}


def bucketed_settings(curve: StepCurve) -> dict[str, str]:
    """Of a worker whose jobs of equal steps share a whole loop."""
    return _settings(curve) | {"WORKER__EXECUTION": "whole_loop", "WORKER__MAX_SLOTS": str(_BUCKET_SLOTS)}


def _settings(curve: StepCurve) -> dict[str, str]:
    """Of a worker whose other stages take no time."""
    (rows_0, seconds_0), (rows_1, seconds_1) = curve.points
    row_seconds = (seconds_1 - seconds_0) / (rows_1 - rows_0)
    return {
        "BACKEND": "simulated",
        "SIMULATED__STEP_MS": f"{1000 * (seconds_0 - rows_0 * row_seconds):.6g}",
        "SIMULATED__ROW_MS": f"{1000 * row_seconds:.6g}",
        "SIMULATED__ENCODER_MS": "0",
        "SIMULATED__DECODER_MS": "0",
        "WORKER__MAX_BATCH": str(NUM_ROWS),
        # A straight line is known from its ends.
        "WORKER__CALIBRATION_SECONDS": "0.2",
    }
