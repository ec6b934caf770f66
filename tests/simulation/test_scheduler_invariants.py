"""The scheduler keeps every invariant, whatever happens in whatever order."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.execution import Execution
from service.scheduling.policy import BatchPolicy
from tests.simulation.walk import MAX_NUMBER, Kind, Move, random_moves, random_policy, walk

POLICIES = st.builds(
    BatchPolicy,
    st.integers(1, 8),
    st.integers(1, 10),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from((None, 1, 2)),
)
MOVES = st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, MAX_NUMBER - 1)), max_size=150)


@settings(
    max_examples=1000, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(POLICIES, MOVES, st.sampled_from(Execution))
def test_scheduler_when_anything_happens_then_no_invariant_breaks(
    policy: BatchPolicy, moves: list[Move], execution: Execution
) -> None:
    walk(policy, moves, execution)


@pytest.mark.parametrize("execution", Execution)
@pytest.mark.parametrize("seed", range(40))
def test_scheduler_when_walked_long_then_every_job_leaves_exactly_once(seed: int, execution: Execution) -> None:
    shell = walk(random_policy(seed), random_moves(seed, 1000), execution)
    assert shell.checker.num_left == shell.checker.num_arrived > 20
