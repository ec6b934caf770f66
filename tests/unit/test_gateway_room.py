"""Whether the queue has room: asked only where jobs have just been refused, and then exactly."""

from dataclasses import dataclass

import pytest

from service.domain.errors import OverloadedError
from service.domain.job import DEFAULT_TENANT
from service.gateway.forecast import Forecasts
from service.gateway.room import Room
from service.telemetry.metrics import GatewayMetrics
from tests.fakes.fake_intake import FakeIntake


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def room(intake: FakeIntake, clock: Clock) -> Room:
    return Room(intake, Forecasts(intake, intake, fresh_seconds=0), GatewayMetrics("test"), clock)


async def test_check_when_nothing_was_refused_then_the_queue_is_not_asked(room: Room, intake: FakeIntake) -> None:
    intake.trouble = "full"

    await room.check(DEFAULT_TENANT, None)


@pytest.mark.parametrize(("trouble", "code"), [("full", "overloaded"), ("quota", "tenant_queue_full")])
async def test_check_when_a_job_was_just_refused_then_so_is_the_next_call_for_as_long_as_it_lasts(
    room: Room, intake: FakeIntake, clock: Clock, trouble, code: str
) -> None:
    intake.trouble = trouble
    await room.refusal(trouble)

    for _ in range(3):
        clock.now += 0.9
        with pytest.raises(OverloadedError) as error:
            await room.check(DEFAULT_TENANT, None)
        assert (error.value.code, error.value.retry_after_seconds) == (code, 1.0)

    clock.now += 1.1
    await room.check(DEFAULT_TENANT, None)


async def test_check_when_there_is_room_again_then_the_next_call_goes_on(room: Room, intake: FakeIntake) -> None:
    await room.refusal("full")

    await room.check(DEFAULT_TENANT, None)


async def test_check_when_the_queue_does_not_answer_then_the_call_goes_on_and_finds_out(
    room: Room, intake: FakeIntake
) -> None:
    await room.refusal("full")
    intake.trouble = "refuses"

    await room.check(DEFAULT_TENANT, None)


async def test_check_when_the_call_has_a_key_then_it_goes_on_as_it_may_be_a_repeat(
    room: Room, intake: FakeIntake
) -> None:
    intake.trouble = "full"
    await room.refusal("full")

    await room.check(DEFAULT_TENANT, "a key")
