"""How often a key may call, and how many of its calls may wait."""

from contextlib import ExitStack

import pytest

from service.domain.access import ANYBODY, Caller, CallerLimits
from service.domain.errors import OverloadedError
from service.gateway.rates import Rates


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_caller(name: str = "one", per_minute: int = 60, burst: int = 5, max_waiting: int = 2) -> Caller:
    return Caller("ada", frozenset(), name, CallerLimits(per_minute, burst, max_waiting))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    return Rates(clock)


def test_take_when_a_burst_is_used_up_then_one_more_comes_each_second(rates: Rates, clock: Clock) -> None:
    states = [rates.take(a_caller()) for _ in range(5)]
    assert [(state.remaining, state.reset_seconds) for state in states if state] == [
        (4, 1), (3, 2), (2, 3), (1, 4), (0, 5),
    ]  # fmt: skip

    with pytest.raises(OverloadedError, match="rate_limited") as error:
        rates.take(a_caller())

    assert error.value.retry_after_seconds == pytest.approx(1)
    assert rates.take(a_caller("another")), "another key pays for it"
    for _ in range(10):
        clock.now += 1
        assert rates.take(a_caller())
        with pytest.raises(OverloadedError):
            rates.take(a_caller())


def test_take_when_refused_then_it_costs_nothing(rates: Rates, clock: Clock) -> None:
    for _ in range(5):
        rates.take(a_caller())
    for _ in range(100):
        with pytest.raises(OverloadedError):
            rates.take(a_caller())

    clock.now += 1

    assert rates.take(a_caller())


@pytest.mark.parametrize(("per_minute", "burst"), [(100, 20), (7, 3), (1, 1), (1_000_000, 1)])
def test_take_when_a_caller_never_stops_then_its_rate_is_the_limit(
    rates: Rates, clock: Clock, per_minute: int, burst: int
) -> None:
    caller, num_taken = a_caller(per_minute=per_minute, burst=burst), 0
    for _ in range(60 * 100):
        clock.now += 0.01
        try:
            rates.take(caller)
        except OverloadedError:
            continue
        num_taken += 1

    assert num_taken == pytest.approx(min(6000, per_minute + burst), abs=1)


def test_take_when_a_key_rests_then_no_more_than_a_burst_is_saved_up(rates: Rates, clock: Clock) -> None:
    rates.take(a_caller())
    clock.now += 3600

    assert [state.remaining for state in [rates.take(a_caller()) for _ in range(5)] if state] == [4, 3, 2, 1, 0]


def test_waiting_when_too_many_calls_wait_then_the_next_is_refused_until_one_ends(rates: Rates) -> None:
    with rates.waiting(a_caller()):
        with (
            rates.waiting(a_caller()),
            pytest.raises(OverloadedError, match="concurrency_limited"),
            rates.waiting(a_caller()),
        ):
            pass
        with rates.waiting(a_caller()), rates.waiting(a_caller("another")):
            pass
    assert not rates._waiting


def test_waiting_when_a_call_fails_then_it_no_longer_counts(rates: Rates) -> None:
    for _ in range(5):
        with pytest.raises(RuntimeError), rates.waiting(a_caller()):
            raise RuntimeError

    with rates.waiting(a_caller()):
        pass


def test_anybody_when_calling_then_there_is_no_limit(rates: Rates) -> None:
    assert [rates.take(ANYBODY) for _ in range(1000)] == [None] * 1000
    with rates.waiting(ANYBODY), rates.waiting(ANYBODY), rates.waiting(ANYBODY):
        pass


def test_memory_when_keys_are_many_then_it_stays_small(rates: Rates) -> None:
    for number in range(12_000):
        rates.take(a_caller(str(number)))

    assert len(rates._full_at) == 10_000


def test_following_when_too_many_streams_are_open_then_the_next_is_refused_and_waiting_is_not(rates: Rates) -> None:
    with ExitStack() as streams:
        for _ in range(100):
            streams.enter_context(rates.following(a_caller()))
        with pytest.raises(OverloadedError, match="concurrency_limited: 100"), rates.following(a_caller()):
            pass
        with rates.following(a_caller("another")), rates.waiting(a_caller()):
            pass
    with rates.following(a_caller()):
        pass
    assert not rates._following
