"""Bounds that make no sense stop the start, and the message names them."""

import math
from dataclasses import fields

import pytest

from service.adapters.queue_policy import QueuePolicy


@pytest.mark.parametrize("value", [0, -1, math.nan])
@pytest.mark.parametrize("name", [field.name for field in fields(QueuePolicy)])
def test_policy_when_a_value_is_not_positive_then_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        QueuePolicy(**{name: value})


def test_policy_when_the_stall_timeout_is_below_the_lease_then_refused_with_both() -> None:
    with pytest.raises(ValueError, match=r"stall_timeout_seconds=9\.9 .* lease_seconds=10"):
        QueuePolicy(lease_seconds=10, stall_timeout_seconds=9.9)

    assert QueuePolicy(lease_seconds=10, stall_timeout_seconds=10).lease_seconds == 10


def test_policy_when_nothing_is_given_then_the_defaults_go_together() -> None:
    assert QueuePolicy().stall_timeout_seconds >= QueuePolicy().lease_seconds
