"""Submitting a job and fetching its picture: in which order things happen, and what is left when one of them fails."""

import asyncio
import dataclasses
import re
import selectors
from typing import Any

import pytest

from service.domain.errors import (
    JobStateError,
    NotFoundError,
    OverloadedError,
    RequestError,
    ServiceError,
    StorageError,
)
from service.domain.job import DEFAULT_TENANT, Job, JobFailure, JobStatus, NewJob, Priority
from service.domain.request import MAX_SEED
from service.domain.result import PictureFile
from service.gateway.forecast import Forecasts
from service.gateway.jobs import Jobs, Submitted
from service.gateway.patience import MAX_QUEUE_SECONDS
from service.ports.queue import CancelVerdict, Enqueued
from service.telemetry.metrics import GatewayMetrics
from tests.fakes.fake_intake import FakeIntake, a_worker_report
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import MODEL
from tests.unit.builders import a_job, a_job_id, a_request, a_result, a_submission, an_input
from xmdpt.presets import Preset


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics("test")


def the_jobs_of(intake: FakeIntake, blobs: MemoryBlobs, metrics: GatewayMetrics) -> Jobs:
    return Jobs(intake, blobs, MODEL, Forecasts(intake, intake, fresh_seconds=0), metrics)


@pytest.fixture
def jobs(intake: FakeIntake, blobs: MemoryBlobs, metrics: GatewayMetrics) -> Jobs:
    return the_jobs_of(intake, blobs, metrics)


async def test_submit_when_accepted_then_the_pictures_were_stored_before(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    stored_at_enqueue: dict[str, bytes] = {}

    def look(job: NewJob) -> None:
        stored_at_enqueue.update(blobs.content)

    intake.on_enqueue = look

    job_id = (await jobs.submit(a_submission(5), DEFAULT_TENANT)).job_id

    assert stored_at_enqueue == {f"in/{job_id}": an_input(5)}
    assert intake.jobs[job_id].request == a_request(5)


@pytest.mark.parametrize(("preset", "cost"), [(Preset.EXACT, 4), (Preset.FAST, 2), (Preset.DRAFT, 2)])
async def test_submit_when_a_preset_is_named_then_it_is_kept_and_low_precision_costs_less(
    intake: FakeIntake, blobs: MemoryBlobs, metrics: GatewayMetrics, preset: Preset, cost: int
) -> None:
    model = dataclasses.replace(MODEL, low_precision="int8")
    jobs = Jobs(intake, blobs, model, Forecasts(intake, intake, fresh_seconds=0), metrics)

    await jobs.submit(a_submission(5, preset=preset), DEFAULT_TENANT)

    (job,) = intake.accepted
    assert (job.request.params.preset, job.cost) == (preset, cost)


async def test_submit_when_the_model_has_no_low_precision_then_fast_is_refused_and_the_others_named(
    intake: FakeIntake, blobs: MemoryBlobs, metrics: GatewayMetrics
) -> None:
    model = dataclasses.replace(MODEL, low_precision=None)
    jobs = Jobs(intake, blobs, model, Forecasts(intake, intake, fresh_seconds=0), metrics)

    with pytest.raises(RequestError, match="must be exact or draft") as refusal:
        await jobs.submit(a_submission(5, preset=Preset.FAST), DEFAULT_TENANT)
    await jobs.submit(a_submission(5, preset=Preset.DRAFT), DEFAULT_TENANT)

    assert (refusal.value.code, refusal.value.issues[0].pointer) == ("unavailable_preset", "/preset")
    (job,) = intake.accepted
    assert job.cost == 4, "its steps are the usual ones"


async def test_submit_when_repeated_then_each_job_has_an_unguessable_id_and_seed(
    jobs: Jobs, intake: FakeIntake
) -> None:
    ids = [(await jobs.submit(a_submission(seed=None), DEFAULT_TENANT)).job_id for _ in range(50)]

    seeds = [intake.jobs[job_id].request.params.seed for job_id in ids]
    assert all(re.fullmatch(r"job_[0-9a-f]{32}", job_id) for job_id in ids)
    assert len(set(ids)) == len(set(seeds)) == 50
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    # 50 seeds of 53 bits: that all are small has a chance of 2^-1000.
    assert max(seeds) > MAX_SEED >> 20


@pytest.mark.parametrize(("trouble", "code"), [("full", "overloaded"), ("quota", "tenant_queue_full")])
async def test_submit_when_there_is_no_place_then_its_pictures_go_and_those_of_others_stay(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs, metrics: GatewayMetrics, trouble, code: str
) -> None:
    await jobs.submit(a_submission(1), DEFAULT_TENANT)
    before = dict(blobs.content)
    intake.trouble = trouble

    with pytest.raises(OverloadedError) as error:
        await jobs.submit(a_submission(2), DEFAULT_TENANT)

    assert (error.value.code, error.value.retry_after_seconds) == (code, 1.0)
    assert blobs.content == before
    assert metrics.admission_rejected.labels(trouble)._value.get() == 1


async def test_submit_when_the_queue_does_not_answer_then_the_pictures_stay_as_it_may_have_accepted(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    intake.trouble = "refuses"

    with pytest.raises(StorageError, match="queue_unavailable"):
        await jobs.submit(a_submission(), DEFAULT_TENANT)

    assert list(blobs.content.values()) == [an_input()]


class ClockThatSkips(asyncio.SelectorEventLoop):
    """An event loop whose time goes by only where it would wait for it, and at once."""

    def __init__(self) -> None:
        self._skipped_seconds = 0.0
        super().__init__(SelectorThatSkips(self))

    def time(self) -> float:
        return self._skipped_seconds

    def skip(self, seconds: float) -> None:
        self._skipped_seconds += seconds


class SelectorThatSkips(selectors.DefaultSelector):
    def __init__(self, clock: ClockThatSkips) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(None if timeout is None else 0)
        if timeout and not events:
            self._clock.skip(timeout)
        return events


def test_submit_when_the_queue_hangs_then_forecast_and_enqueue_together_keep_the_promise(
    intake: FakeIntake, blobs: MemoryBlobs, metrics: GatewayMetrics
) -> None:
    intake.trouble = "hangs"
    loop = ClockThatSkips()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        start = loop.time()
        with pytest.raises(StorageError, match="queue_unavailable"):
            runner.run(the_jobs_of(intake, blobs, metrics).submit(a_submission(), DEFAULT_TENANT))
        seconds = loop.time() - start

    assert seconds == pytest.approx(MAX_QUEUE_SECONDS, abs=0.01)


async def test_submit_when_the_answer_was_lost_and_the_repeat_says_dup_then_it_is_accepted(
    blobs: MemoryBlobs, metrics: GatewayMetrics
) -> None:
    class AnswersDup(FakeIntake):
        async def enqueue(self, job: NewJob) -> Enqueued:
            await super().enqueue(job)
            return Enqueued("dup", job.id)

    submitted = await the_jobs_of(AnswersDup(), blobs, metrics).submit(a_submission(), DEFAULT_TENANT, "key")

    assert not submitted.is_replay
    assert blobs.content == {f"in/{submitted.job_id}": an_input()}
    assert metrics.idempotent_replays._value.get() == 0


async def test_submit_when_class_deadline_and_key_are_given_then_the_queue_learns_them(
    jobs: Jobs, intake: FakeIntake
) -> None:
    await jobs.submit(a_submission(priority=Priority.BATCH, deadline_seconds=1.5), DEFAULT_TENANT, "key")
    await jobs.submit(a_submission(), DEFAULT_TENANT)

    first, second = intake.accepted
    assert (first.priority, first.deadline_seconds) == (Priority.BATCH, 1.5)
    assert first.idempotency
    assert first.idempotency.key == "key"
    assert re.fullmatch("[0-9a-f]{64}", first.idempotency.fingerprint)
    assert second.idempotency is None


async def test_submit_when_repeated_under_its_key_then_the_first_job_and_its_pictures_alone(
    jobs: Jobs, blobs: MemoryBlobs, metrics: GatewayMetrics
) -> None:
    first = await jobs.submit(a_submission(seed=None), DEFAULT_TENANT, "key")

    again = await jobs.submit(a_submission(seed=None), DEFAULT_TENANT, "key")

    assert again == Submitted(first.job_id, is_replay=True)
    assert list(blobs.content) == [f"in/{first.job_id}"]
    assert metrics.idempotent_replays._value.get() == 1


async def test_submit_when_the_key_is_taken_by_another_request_then_nothing_of_it_is_kept(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    first = await jobs.submit(a_submission(1), DEFAULT_TENANT, "key")

    with pytest.raises(RequestError, match="idempotency_mismatch"):
        await jobs.submit(a_submission(2), DEFAULT_TENANT, "key")

    assert list(intake.jobs) == [first.job_id]
    assert list(blobs.content) == [f"in/{first.job_id}"]


async def test_submit_when_a_worker_is_calibrated_then_the_forecast_is_kept_with_the_job(
    jobs: Jobs, intake: FakeIntake
) -> None:
    before = await jobs.submit(a_submission(), DEFAULT_TENANT)
    intake.workers.append(a_worker_report())

    after = await jobs.submit(a_submission(), DEFAULT_TENANT)

    assert before.eta is None
    assert after.eta
    assert [job.forecast_seconds > 0 for job in intake.accepted] == [False, True]


async def test_wait_when_the_job_ended_well_then_the_error_of_its_forecast_is_observed(
    jobs: Jobs, intake: FakeIntake, metrics: GatewayMetrics
) -> None:
    intake.workers.append(a_worker_report())
    for end in (lambda job: intake.succeed(job.id, b"picture"), lambda job: intake.fail(job.id, "backend_error")):
        intake.on_enqueue = end
        await jobs.wait_for(await jobs.submit(a_submission(), DEFAULT_TENANT), DEFAULT_TENANT, 1)

    (count,) = (
        sample.value
        for metric in metrics.eta_error.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    )
    assert count == 1, "a failed job says nothing of how long it would have taken"


async def test_submit_when_the_storage_is_down_then_nothing_is_queued(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs
) -> None:
    blobs.is_down = True

    with pytest.raises(StorageError, match="storage_unavailable"):
        await jobs.submit(a_submission(), DEFAULT_TENANT)

    assert intake.jobs == {}


@pytest.mark.parametrize("model", ["huge", "", "TINY"])
async def test_submit_when_the_model_is_another_then_nothing_is_stored(
    jobs: Jobs, intake: FakeIntake, blobs: MemoryBlobs, model: str
) -> None:
    with pytest.raises(RequestError, match="unknown_model") as error:
        await jobs.submit(a_submission(model=model), DEFAULT_TENANT)

    assert [issue.pointer for issue in error.value.issues] == ["/model"]
    assert (intake.jobs, blobs.content) == ({}, {})


@pytest.mark.parametrize("wait_seconds", [None, 0, 0.01])
async def test_status_when_there_is_no_such_job_then_not_found(jobs: Jobs, wait_seconds: float | None) -> None:
    with pytest.raises(NotFoundError):
        await (
            jobs.status(a_job_id(), DEFAULT_TENANT)
            if wait_seconds is None
            else jobs.wait(a_job_id(), DEFAULT_TENANT, wait_seconds)
        )


async def test_wait_when_the_time_is_over_then_the_job_as_it_stands(jobs: Jobs, intake: FakeIntake) -> None:
    intake.on_enqueue = lambda job: intake.run(job.id, 2)

    job = await jobs.wait((await jobs.submit(a_submission(), DEFAULT_TENANT)).job_id, DEFAULT_TENANT, 0.02)

    assert (job.status, job.progress.step) == (JobStatus.RUNNING, 2)


def num_cancelled(metrics: GatewayMetrics) -> tuple[float, float]:
    """Of queued and of running jobs."""
    queued, running = (metrics.cancelled.labels(when)._value.get() for when in ("queued", "running"))
    return queued, running


async def test_cancel_when_queued_then_cancelled_and_counted_once(
    jobs: Jobs, intake: FakeIntake, metrics: GatewayMetrics
) -> None:
    job_id = (await jobs.submit(a_submission(), DEFAULT_TENANT)).job_id

    statuses = [(await jobs.cancel(job_id, DEFAULT_TENANT)).status for _ in range(2)]

    assert statuses == [JobStatus.CANCELLED, JobStatus.CANCELLED]
    assert num_cancelled(metrics) == (1, 0)


async def test_cancel_when_running_then_cancelling_and_counted_once(
    jobs: Jobs, intake: FakeIntake, metrics: GatewayMetrics
) -> None:
    intake.on_enqueue = lambda job: intake.run(job.id, 2)
    job_id = (await jobs.submit(a_submission(), DEFAULT_TENANT)).job_id

    statuses = [(await jobs.cancel(job_id, DEFAULT_TENANT)).status for _ in range(2)]

    assert statuses == [JobStatus.CANCELLING, JobStatus.CANCELLING]
    assert num_cancelled(metrics) == (0, 1)


async def test_cancel_when_the_job_ends_in_between_then_its_own_end_stands(
    blobs: MemoryBlobs, metrics: GatewayMetrics
) -> None:
    class EndsFirst(FakeIntake):
        async def cancel(self, job_id: str, tenant: str) -> CancelVerdict:
            self.succeed(job_id, b"picture")
            return await super().cancel(job_id, tenant)

    jobs = the_jobs_of(EndsFirst(), blobs, metrics)

    job = await jobs.cancel((await jobs.submit(a_submission(), DEFAULT_TENANT)).job_id, DEFAULT_TENANT)

    assert job.status is JobStatus.SUCCEEDED
    assert num_cancelled(metrics) == (0, 0)


async def test_cancel_when_there_is_no_such_job_then_not_found(jobs: Jobs) -> None:
    with pytest.raises(NotFoundError):
        await jobs.cancel(a_job_id(), DEFAULT_TENANT)


async def test_preview_when_there_is_none_or_no_job_then_not_found(jobs: Jobs, blobs: MemoryBlobs) -> None:
    job_id = (await jobs.submit(a_submission(), DEFAULT_TENANT)).job_id
    blobs.put_preview(a_job_id(), b"of a job that is gone")

    for asked in (job_id, a_job_id()):
        with pytest.raises(NotFoundError):
            await jobs.preview(asked, DEFAULT_TENANT)
    blobs.put_preview(job_id, b"preview")
    assert await jobs.preview(job_id, DEFAULT_TENANT) == b"preview"


def succeeded(content: bytes = b"picture", fence: int = 7, **fields: Any) -> Job:
    """A job that ended well; its record tells of this content."""
    result = a_result(fence, files=(PictureFile.of(content),))
    return a_job(status=JobStatus.SUCCEEDED, result=result, **fields)


async def test_picture_when_the_job_ended_well_then_the_bytes_of_its_own_fence(jobs: Jobs, blobs: MemoryBlobs) -> None:
    blobs.put_output(a_job_id(), 6, b"of a zombie")
    blobs.put_output(a_job_id(), 7, b"picture")

    result, content = await jobs.picture(succeeded())

    assert (result.fence, content) == (7, b"picture")


async def test_picture_when_a_worker_of_an_older_version_made_only_one_then_the_others_are_not_there(
    jobs: Jobs, blobs: MemoryBlobs
) -> None:
    blobs.put_output(a_job_id(), 7, b"picture")
    job = succeeded()
    job = dataclasses.replace(job, request=dataclasses.replace(job.request, num_images=2))

    _, contents = await jobs.pictures(job)

    assert contents == [b"picture"]
    with pytest.raises(NotFoundError):
        await jobs.picture(job, 1)


async def test_picture_when_its_bytes_are_not_those_of_the_record_then_it_is_not_given(
    jobs: Jobs, blobs: MemoryBlobs
) -> None:
    blobs.put_output(a_job_id(), 7, b"Picture")

    for fetch in (jobs.picture, jobs.pictures):
        with pytest.raises(StorageError, match="damaged"):
            await fetch(succeeded())


@pytest.mark.parametrize(
    ("job", "kind", "code"),
    [
        (a_job(), JobStateError, "not_finished"),
        (a_job(status=JobStatus.RUNNING), JobStateError, "not_finished"),
        (a_job(status=JobStatus.CANCELLING), JobStateError, "not_finished"),
        (a_job(status=JobStatus.CANCELLED), JobStateError, "cancelled"),
        (succeeded(is_expired=True), JobStateError, "expired"),
        (succeeded(fence=8), JobStateError, "expired"),
        (a_job(status=JobStatus.FAILED, failure=JobFailure("backend_error", "why")), ServiceError, "backend_error"),
    ],
    ids=["queued", "running", "cancelling", "cancelled", "expired", "file gone", "failed"],
)
async def test_picture_when_there_is_none_then_the_error_says_why(
    jobs: Jobs, blobs: MemoryBlobs, job: Job, kind: type[ServiceError], code: str
) -> None:
    blobs.put_output(a_job_id(), 7, b"picture")

    for fetch in (jobs.picture, jobs.pictures):
        with pytest.raises(kind) as error:
            await fetch(job)
        assert error.value.code == code
