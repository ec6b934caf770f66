"""How a job leaves the worker: with committed pictures, as a failure, or back into the queue.

It owns the order: bytes durable first, then the fenced finish; a result of an old fence is deleted unseen. And it owns
patience: an outage of the queue or the store is waited out for a while, and then the job goes back.
"""

import io
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from service.domain.errors import StorageError
from service.domain.job import ClaimedJob, JobFailure
from service.domain.request import ImageFormat, OutputOptions
from service.domain.result import JobResult, PictureFile
from service.engine.flight import Flight
from service.engine.provenance import Provenance, exif_block, png_chunks
from service.ports.backend import U8, InferenceBackend
from service.ports.blobs import BlobStore
from service.ports.queue import FinishVerdict, JobLeases
from service.telemetry.logs import get_logger
from service.telemetry.metrics import WorkerMetrics
from xmdpt.presets import PRESETS

# With runs instead of a dictionary: a quarter of the default's time, for files a fiftieth larger.
_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
# Half of the default's time for files a fortieth larger, and as much more error.
_WEBP = {"method": 2}
_OUTAGE_PAUSE_SECONDS = 0.25
# The queue's answers that let a job leave as it was meant to; any other says that it was no longer ours.
_LEFT_AS = {
    "succeeded": "succeeded",
    "failed": "failed",
    "retry": "retried",
    "queued": "released",
    "cancelled": "cancelled",
    "expired": "expired",
}


def picture_file(picture: U8, output: OutputOptions, provenance: Provenance | None = None) -> bytes:
    """Write [256,256,3] uint8 RGB as PNG, JPEG or WebP, marked or not; the same arguments give the same bytes."""
    buffer = io.BytesIO()
    image = Image.fromarray(picture)
    if output.width_px is not None:
        image = image.resize((output.width_px, image.height), Image.Resampling.BICUBIC)
    if output.format is ImageFormat.PNG:
        image.save(buffer, "PNG", **_PNG, pnginfo=provenance and png_chunks(provenance))
    else:
        marks = {"exif": exif_block(provenance)} if provenance else {}
        effort = _WEBP if output.format is ImageFormat.WEBP else {}
        image.save(buffer, output.format.value.upper(), quality=output.quality, **effort, **marks)
    return buffer.getvalue()


@dataclass(frozen=True)
class Patience:
    """How long an outage is waited out before a job is given back.

    Attributes:
        queue_seconds: more than a lease, so that a queue that starts again learns what ended meanwhile.
        store_seconds: less than the time after which the queue, which is there, takes away a job that stands still.
    """

    queue_seconds: float
    store_seconds: float


class Delivery:
    """Tells the queue how jobs end."""

    def __init__(
        self,
        leases: JobLeases,
        blobs: BlobStore,
        patience: Patience,
        metrics: WorkerMetrics,
        software: str | None = None,
    ) -> None:
        """Nothing is told before the first call.

        Args:
            leases: the queue.
            blobs: takes the pictures.
            patience: with either of them.
            metrics: the worker's.
            software: whom files name as their maker, with name and version; None leaves them unmarked.
        """
        self._leases, self._blobs, self._software = leases, blobs, software
        self._patience, self._metrics = patience, metrics
        self._log = get_logger()

    def succeed(
        self, flight: Flight, pictures: Sequence[U8], backend: InferenceBackend, sent_off_at: float | None = None
    ) -> str:
        """Encode pictures, store them, finish the job if its lease is still ours; returns how it left.

        Args:
            flight: whose they are.
            pictures: [256,256,3] uint8 RGB each, in the order of their seeds.
            backend: made them.
            sent_off_at: when it left the device, by `time.monotonic`; None for now.
        """
        job = flight.job
        contents = [self._encode(flight, picture, index, backend) for index, picture in enumerate(pictures)]
        result = JobResult(
            fence=job.fence,
            content_type=job.request.output.format.content_type,
            files=tuple(PictureFile.of(content) for content in contents),
            model_digest=backend.model_digest,
            runtime=backend.runtime,
            stage_seconds=flight.stage_seconds,
            cache=flight.cache,
            precision=PRESETS[job.request.params.preset].precision(backend.precision, backend.low_precision),
        )
        return self._settle(job, lambda: self._commit(job, result, contents), sent_off_at)

    def fail(self, job: ClaimedJob, failure: JobFailure, *, may_retry: bool) -> str:
        """End the job as failed, or send it back while tries are left; returns how it left."""
        self._log.warning("job failed", job=job.id, code=failure.code, detail=failure.detail)
        return self._settle(job, lambda: self._leases.fail(job.id, job.fence, failure, may_retry=may_retry))

    def cancel(self, job: ClaimedJob) -> str:
        """End a job that nobody wants any more, or whose deadline is over; returns how it left."""
        return self._settle(job, lambda: self._leases.end_cancelled(job.id, job.fence))

    def release(self, job: ClaimedJob) -> str:
        """Give the job back unharmed; returns how it left."""
        return self._settle(job, lambda: self._leases.release(job.id, job.fence))

    def _encode(self, flight: Flight, picture: U8, index: int, backend: InferenceBackend) -> bytes:
        started = time.monotonic()
        request, software = flight.job.request, self._software
        seed, preset = request.params.seed + index, request.params.preset
        provenance = Provenance(software, seed, backend.model_digest, preset) if software else None
        content = picture_file(picture, request.output, provenance)
        seconds = time.monotonic() - started
        flight.spend("encode_output", seconds)
        self._metrics.stage_seconds.labels("encode_output").observe(seconds)
        return content

    def _commit(self, job: ClaimedJob, result: JobResult, contents: Sequence[bytes]) -> FinishVerdict:
        # Blobs before finish: a crash here repeats the job, never loses it.
        for index, content in enumerate(contents):
            self._blobs.put_output(job.id, job.fence, content, index)
        verdict = self._leases.succeed(job.id, result)
        if verdict != "succeeded":
            self._blobs.delete_output(job.id, job.fence)
        return verdict

    def _settle(self, job: ClaimedJob, tell_queue: Callable[[], str], sent_off_at: float | None = None) -> str:
        """Repeat until answered, as every verb is safe to repeat; returns how the job left, as the metrics name it."""
        now = time.monotonic()
        queue_until = now + self._patience.queue_seconds
        # Who has waited for a thread has stood still for as long.
        store_until = (sent_off_at or now) + self._patience.store_seconds
        while True:
            try:
                verdict = tell_queue()
            except StorageError as error:
                self._metrics.count_outage(error)
                self._log.warning("the end of a job could not be told", code=error.code, detail=error.detail)
                if time.monotonic() > (store_until if error.code == "storage_unavailable" else queue_until):
                    return self._hand_back(job)
                time.sleep(_OUTAGE_PAUSE_SECONDS)
            else:
                self._metrics.finish.labels(verdict).inc()
                return _LEFT_AS.get(verdict, "lost")

    def _hand_back(self, job: ClaimedJob) -> str:
        """The store or the queue stays away: with the queue there the job goes back unharmed, else by its lease."""
        try:
            return _LEFT_AS.get(self._leases.release(job.id, job.fence), "lost")
        except StorageError:
            return "lost"
