"""How a job leaves the worker: bytes before the finish, no bytes after a refusal, patience with what is away."""

import hashlib
import io
import time

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile

from service.domain.errors import StorageError
from service.domain.job import JobFailure
from service.domain.request import ImageFormat, OutputOptions
from service.domain.result import JobResult
from service.engine.delivery import Delivery, Patience, picture_file
from service.engine.flight import Flight
from service.engine.provenance import Provenance
from service.telemetry.metrics import LEAVING, WorkerMetrics
from tests.fakes.fake_backend import FakeBackend
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.memory_blobs import MemoryBlobs
from tests.unit.builders import a_claimed_job
from xmdpt.presets import Preset

JOB = a_claimed_job(1, fence=7)
NAME = f"out/{JOB.id}.7"
LONG = Patience(60, 60)
PICTURE = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)


class VerdictLeases(FakeLeases):
    """Answers every finish with `verdict`, and notes what the store held at that moment."""

    def __init__(self, blobs: MemoryBlobs, verdict: str = "succeeded") -> None:
        super().__init__()
        self._blobs, self._verdict = blobs, verdict
        self.stored: list[dict[str, bytes]] = []

    def succeed(self, job_id: str, result: JobResult) -> str:
        self._answer()
        self.stored.append(dict(self._blobs.content))
        self.succeeded[job_id] = result
        return self._verdict


def deliver(leases: FakeLeases, blobs: MemoryBlobs, patience: Patience = LONG) -> WorkerMetrics:
    """One successful end."""
    metrics = WorkerMetrics("test")
    flight = Flight(JOB, time.monotonic(), stage_seconds={"queue": 0.1, "tdnet_step": 0.2})
    Delivery(leases, blobs, patience, metrics).succeed(flight, [PICTURE], FakeBackend())
    return metrics


def test_delivery_when_a_job_succeeds_then_its_bytes_are_stored_before_the_finish() -> None:
    blobs = MemoryBlobs()
    leases = VerdictLeases(blobs)

    metrics = deliver(leases, blobs)

    content = picture_file(PICTURE, JOB.request.output)
    assert leases.stored == [{NAME: content}]
    result = leases.succeeded[JOB.id]
    assert (result.fence, result.files[0].num_bytes, result.content_type) == (7, len(content), "image/png")
    assert result.files[0].sha256 == hashlib.sha256(content).hexdigest()
    assert (result.runtime, result.model_digest) == (FakeBackend.runtime, FakeBackend.model_digest)
    assert list(result.stage_seconds) == ["queue", "tdnet_step", "encode_output"]
    assert metrics.finish.labels("succeeded")._value.get() == 1


@pytest.mark.parametrize("verdict", ["fenced", "gone", "failed"])
def test_delivery_when_the_finish_is_refused_then_the_bytes_go_and_those_of_others_stay(verdict: str) -> None:
    blobs = MemoryBlobs()
    blobs.put_output(JOB.id, 8, b"of the heir")

    metrics = deliver(VerdictLeases(blobs, verdict), blobs)

    assert blobs.content == {f"out/{JOB.id}.8": b"of the heir"}
    assert metrics.finish.labels(verdict)._value.get() == 1


def test_delivery_when_the_store_is_away_for_a_moment_then_nothing_is_told_before_it_is_back() -> None:
    class AwayOnce(MemoryBlobs):
        num_calls = 0

        def put_output(self, job_id: str, fence: int, content: bytes, index: int = 0) -> None:
            self.num_calls += 1
            if self.num_calls == 1:
                raise StorageError("storage_unavailable", "scripted")
            super().put_output(job_id, fence, content, index)

    blobs = AwayOnce()
    leases = VerdictLeases(blobs)

    metrics = deliver(leases, blobs)

    assert [list(stored) for stored in leases.stored] == [[NAME]]
    assert (metrics.storage_errors._value.get(), metrics.redis_errors._value.get()) == (1, 0)


@pytest.mark.parametrize("what", ["queue", "store"])
def test_delivery_when_an_outage_outlives_the_lease_then_the_job_goes_back_or_is_left_to_its_lease(what: str) -> None:
    blobs = MemoryBlobs()
    leases = VerdictLeases(blobs)
    leases.outages = 10**9 if what == "queue" else 0
    blobs.is_down = what == "store"

    metrics = deliver(leases, blobs, Patience(0, 0))

    assert leases.succeeded == {}
    assert leases.released == ([JOB.id] if what == "store" else [])
    counts = {"queue": metrics.redis_errors._value.get(), "store": metrics.storage_errors._value.get()}
    assert counts.pop(what) >= 1
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("may_retry", [True, False])
def test_delivery_when_a_job_fails_then_the_queue_hears_why_and_whether_to_try_again(may_retry: bool) -> None:
    leases, failure = FakeLeases(), JobFailure("backend_error", "why")

    Delivery(leases, MemoryBlobs(), LONG, WorkerMetrics("test")).fail(JOB, failure, may_retry=may_retry)

    assert leases.failed == {JOB.id: (failure, may_retry)}


def test_delivery_when_a_job_is_released_then_the_queue_has_it_back() -> None:
    leases = FakeLeases()

    Delivery(leases, MemoryBlobs(), LONG, WorkerMetrics("test")).release(JOB)

    assert leases.released == [JOB.id]


@pytest.mark.parametrize(("image_format", "tolerance"), [("png", 0), ("jpeg", 40), ("webp", 40)])
def test_picture_when_written_then_it_is_that_picture_in_that_format_each_time(
    image_format: str, tolerance: int
) -> None:
    output = OutputOptions(ImageFormat(image_format), quality=95)

    content = picture_file(PICTURE, output)

    image = Image.open(io.BytesIO(content))
    assert (image.format, image.mode, image.size) == (image_format.upper(), "RGB", (256, 256))
    assert np.abs(np.asarray(image).astype(int) - PICTURE).mean() <= tolerance
    assert picture_file(PICTURE, output) == content


MARKS = Provenance("xmdpt-serve 9.8.7", 2**53 - 1, "sha256:" + "cd" * 32, Preset.DRAFT)


def marks_of(content: bytes) -> tuple[str | None, str | None]:
    """Description and software; those of a PNG with its other chunks."""
    image = Image.open(io.BytesIO(content))
    if isinstance(image, PngImageFile):
        text = image.text
        parts = [f"{name.lower()} {text[name]}" for name in ("Seed", "Preset", "Model")] if text else []
        return "; ".join([text["Description"], *parts]) if text else None, text.get("Software")
    exif = image.getexif()
    return exif.get(ExifTags.Base.ImageDescription), exif.get(ExifTags.Base.Software)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_picture_when_marked_then_it_says_so_with_the_same_pixels_and_bytes_each_time(image_format: str) -> None:
    output = OutputOptions(ImageFormat(image_format))
    plain, marked = picture_file(PICTURE, output), picture_file(PICTURE, output, MARKS)

    described = "generated; seed 9007199254740991; preset draft; model sha256:" + "cd" * 32
    assert marks_of(marked) == (described, "xmdpt-serve 9.8.7")
    assert marks_of(plain) == (None, None)
    assert picture_file(PICTURE, output, MARKS) == marked
    decoded = [np.asarray(Image.open(io.BytesIO(content))) for content in (plain, marked)]
    assert np.array_equal(*decoded)


@pytest.mark.parametrize("software", ["xmdpt-serve 9.8.7", None])
def test_delivery_when_it_is_told_its_name_then_files_carry_it_with_the_jobs_seed_and_the_model(
    software: str | None,
) -> None:
    blobs = MemoryBlobs()
    flight = Flight(JOB, time.monotonic(), stage_seconds={})

    delivery = Delivery(VerdictLeases(blobs), blobs, LONG, WorkerMetrics("test"), software)
    delivery.succeed(flight, [PICTURE], FakeBackend())

    described = f"generated; seed {JOB.request.params.seed}; preset exact; model {FakeBackend.model_digest}"
    assert marks_of(blobs.content[NAME]) == (described if software else None, software)


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_picture_when_the_quality_is_lower_then_the_file_is_smaller(image_format: str) -> None:
    sizes = [len(picture_file(PICTURE, OutputOptions(ImageFormat(image_format), quality))) for quality in (10, 50, 95)]

    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("width_px", [1, 176, 256, 1024])
def test_picture_when_a_width_is_asked_for_then_resized_at_full_height(image_format: str, width_px: int) -> None:
    content = picture_file(PICTURE, OutputOptions(ImageFormat(image_format), quality=95, width_px=width_px))

    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size) == (image_format.upper(), (width_px, 256))
    # Whatever the width, the picture's left and right ends stay where they were.
    halves = np.asarray(image.resize((2, 1), Image.Resampling.BOX)).astype(int)
    expected = np.asarray(Image.fromarray(PICTURE).resize((2, 1), Image.Resampling.BOX)).astype(int)
    assert width_px == 1 or np.abs(halves - expected).max() <= 6


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        ("succeeded", "succeeded"),
        ("cancelled", "cancelled"),
        ("expired", "expired"),
        ("fenced", "lost"),
        ("gone", "lost"),
        (None, "lost"),
    ],
)
def test_delivery_when_the_queue_has_answered_then_the_job_left_as_it_says(verdict: str | None, state: str) -> None:
    """None: it never answers, for longer than the lease."""
    blobs = MemoryBlobs()
    leases = VerdictLeases(blobs, verdict or "")
    leases.outages = 0 if verdict else 1000
    flight = Flight(JOB, time.monotonic(), stage_seconds={})

    left = Delivery(leases, blobs, Patience(0.01, 60), WorkerMetrics("test")).succeed(flight, [PICTURE], FakeBackend())

    assert left == state
    assert left in LEAVING


def test_delivery_when_the_store_stays_away_then_who_waited_for_a_thread_has_waited_already() -> None:
    class Away(MemoryBlobs):
        num_tries = 0

        def put_output(self, job_id: str, fence: int, content: bytes, index: int = 0) -> None:
            self.num_tries += 1
            raise StorageError("storage_unavailable", "")

    blobs = Away()
    delivery = Delivery(FakeLeases(), blobs, Patience(60, 0.5), WorkerMetrics("test"))
    sent_off_at = time.monotonic()
    lefts, tries = [], []
    for _ in range(3):
        flight = Flight(JOB, time.monotonic(), stage_seconds={})
        lefts.append(delivery.succeed(flight, [PICTURE], FakeBackend(), sent_off_at))
        tries.append(blobs.num_tries)

    assert lefts == ["released"] * 3
    assert tries[0] > 1
    assert (tries[1] - tries[0], tries[2] - tries[1]) == (1, 1)
