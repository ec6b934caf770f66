"""What a forecast looks at, how often it looks, and that it costs nobody an answer."""

import asyncio

import pytest

from service.domain.job import JobStatus, NewJob, Priority
from service.gateway.forecast import Forecasts
from tests.fakes.fake_intake import FakeIntake, a_worker_report
from tests.unit.builders import a_job, a_job_id, a_new_job, a_request


@pytest.fixture
def intake() -> FakeIntake:
    intake = FakeIntake()
    intake.workers.append(a_worker_report())
    return intake


@pytest.fixture
def forecasts(intake: FakeIntake) -> Forecasts:
    return Forecasts(intake, intake, fresh_seconds=0)


async def enqueue(intake: FakeIntake, number: int, priority: Priority) -> None:
    await intake.enqueue(NewJob(a_job_id(number), a_request(number), priority=priority))


async def test_new_when_nothing_waits_then_its_own_work(forecasts: Forecasts) -> None:
    forecast = await forecasts.of_new(a_new_job())

    assert forecast
    # Four steps of 0.1 s.
    assert forecast.seconds == pytest.approx(0.4, rel=0.01)
    assert 0 < forecast.eta.p50_seconds <= forecast.eta.p90_seconds


async def test_new_when_it_is_interactive_then_batch_jobs_do_not_count(
    forecasts: Forecasts, intake: FakeIntake
) -> None:
    alone = await forecasts.of_new(a_new_job())
    for number in range(2, 12):
        await enqueue(intake, number, Priority.BATCH)
    behind_batch = await forecasts.of_new(a_new_job())
    as_batch = await forecasts.of_new(NewJob(a_job_id(), a_request(), priority=Priority.BATCH))
    await enqueue(intake, 12, Priority.INTERACTIVE)
    behind_interactive = await forecasts.of_new(a_new_job())

    assert alone
    assert behind_batch
    assert as_batch
    assert behind_interactive
    assert behind_batch.seconds == alone.seconds < behind_interactive.seconds < as_batch.seconds


async def test_new_when_forecasts_have_been_too_short_then_the_eta_makes_up_for_it(
    forecasts: Forecasts, intake: FakeIntake
) -> None:
    intake.forecast_ratios = [2.0] * 200

    forecast = await forecasts.of_new(a_new_job())

    assert forecast
    assert forecast.eta.p50_seconds == pytest.approx(2 * forecast.seconds, rel=0.1)


@pytest.mark.parametrize("status", [s for s in JobStatus if s not in (JobStatus.QUEUED, JobStatus.RUNNING)])
async def test_job_when_it_neither_waits_nor_runs_then_none(forecasts: Forecasts, status: JobStatus) -> None:
    assert await forecasts.of_job(a_job(status=status)) is None


@pytest.mark.parametrize("trouble", ["refuses", "hangs"])
async def test_forecast_when_the_queue_is_away_then_none_and_no_error(
    forecasts: Forecasts, intake: FakeIntake, trouble
) -> None:
    intake.trouble = trouble

    answers = await asyncio.gather(forecasts.of_new(a_new_job()), forecasts.of_job(a_job()), forecasts.num_workers())

    assert answers == [None, None, None]
    assert await forecasts.retry_after_seconds() == 1
    intake.trouble = "none"
    assert await forecasts.of_job(a_job())


async def test_forecast_when_no_worker_is_there_then_none(forecasts: Forecasts, intake: FakeIntake) -> None:
    intake.workers.clear()

    assert await forecasts.num_workers() == 0
    assert await forecasts.of_new(a_new_job()) is None
    assert await forecasts.of_job(a_job()) is None
    assert await forecasts.retry_after_seconds() >= 1


async def test_polls_when_they_come_together_then_they_share_one_look(intake: FakeIntake) -> None:
    forecasts = Forecasts(intake, intake, fresh_seconds=3600)

    await asyncio.gather(*(forecasts.of_job(a_job(number)) for number in range(50)))

    assert intake.num_stats == 1
