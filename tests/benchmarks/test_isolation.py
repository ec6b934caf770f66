"""What B8 sees: rows that mix, whichever graph mixes them, and that they share calls at all."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.isolation import WAYS, by_loop, by_steps, largest_difference, rows_of
from export.verify import Arrays
from xmdpt.spec import VARIANTS

NUM_STEPS = (2, 5, 3)
ROWS = rows_of(VARIANTS["tiny"], NUM_STEPS)


def kept(arrays: Arrays) -> Sequence[NDArray]:
    """Each row as it came, as the outputs of both graphs."""
    return [arrays["noise"]] if "noise" in arrays else [arrays["latents"], arrays["latents"]]


def mixed(arrays: Arrays) -> Sequence[NDArray]:
    """Each row with a trace of all others."""
    return [output + 1e-6 * output.mean(axis=0) for output in kept(arrays)]


@pytest.mark.parametrize("graph", WAYS)
def test_largest_difference_when_rows_mix_then_it_is_seen_and_else_there_is_none(graph: str) -> None:
    assert largest_difference(WAYS[graph], kept, ROWS) == 0
    assert 0 < largest_difference(WAYS[graph], mixed, ROWS) < 1e-3


def test_largest_difference_when_a_row_is_not_a_number_then_it_is_not_zero() -> None:
    def broken(arrays: Arrays) -> Sequence[NDArray]:
        return [output * np.nan for output in kept(arrays)]

    assert np.isnan(largest_difference(by_loop, broken, ROWS))


def test_by_steps_when_rows_join_and_leave_then_each_takes_its_own_steps_in_shared_calls() -> None:
    timesteps: list[list[float]] = []

    def noted(arrays: Arrays) -> Sequence[NDArray]:
        timesteps.append(arrays["timestep"][:, 0].tolist())
        return kept(arrays)

    by_steps(noted, ROWS)

    first, second, third = (row.plan.timesteps.tolist() for row in ROWS)
    assert timesteps == [
        [first[0]],
        [first[1], second[0]],
        [second[1], third[0]],
        [second[2], third[1]],
        [second[3], third[2]],
        [second[4]],
    ]
