"""When a call may wait for a worker, and when it is told that there is none."""

import asyncio

import pytest

from service.domain.errors import OverloadedError
from service.gateway.forecast import Forecasts
from service.gateway.workforce import Workforce
from tests.fakes.fake_intake import FakeIntake, a_worker_report


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def workforce(registry: FakeIntake, clock: Clock) -> Workforce:
    return Workforce(Forecasts(registry, registry, fresh_seconds=0), 60, clock)


async def is_there(workforce: Workforce) -> bool:
    try:
        await workforce.check()
    except OverloadedError:
        return False
    return True


async def test_check_when_no_worker_has_been_seen_then_calls_wait_for_one_for_a_while(
    workforce: Workforce, registry: FakeIntake, clock: Clock
) -> None:
    assert await is_there(workforce)
    clock.now += 59.9
    assert await is_there(workforce)
    clock.now += 0.1
    assert not await is_there(workforce)

    registry.workers = [a_worker_report()]
    assert await is_there(workforce)
    registry.workers = []
    assert await is_there(workforce), "the time begins anew"
    clock.now += 60
    assert not await is_there(workforce)


async def test_check_when_a_worker_was_there_between_two_calls_then_it_counts(
    workforce: Workforce, registry: FakeIntake, clock: Clock
) -> None:
    assert await is_there(workforce)
    clock.now += 50
    registry.workers = [a_worker_report()]
    await workforce.look()
    registry.workers = []
    clock.now += 50

    assert await is_there(workforce)


async def test_check_when_the_queue_does_not_say_then_nobody_is_refused(
    workforce: Workforce, registry: FakeIntake, clock: Clock
) -> None:
    await workforce.look()
    clock.now += 60
    registry.trouble = "refuses"

    assert await is_there(workforce)
    registry.trouble = "none"
    assert await is_there(workforce), "workers may be about to tell of themselves again"


async def test_check_when_it_refuses_then_it_says_so_and_when_to_come_again(workforce: Workforce, clock: Clock) -> None:
    await workforce.look()
    clock.now += 60

    with pytest.raises(OverloadedError) as error:
        await workforce.check()

    assert (error.value.code, error.value.retry_after_seconds) == ("no_worker", 60)


async def test_run_when_nobody_calls_then_it_looks_all_the_same(workforce: Workforce, clock: Clock) -> None:
    seen = asyncio.Event()
    look = workforce.look

    async def seen_look() -> None:
        await look()
        seen.set()

    workforce.look = seen_look
    task = asyncio.create_task(workforce.run())
    await seen.wait()
    task.cancel()

    clock.now += 60
    assert not await is_there(workforce)
