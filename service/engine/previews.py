"""Small pictures of what a job will become, written beside the device's work while it goes on.

A preview may be lost or late: it delays nothing, and nothing waits for it.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor

from service.domain.errors import BackendError, StorageError
from service.engine.flight import Flight
from service.engine.preview import PreviewProjection
from service.ports.backend import F32
from service.ports.blobs import BlobStore
from service.telemetry.metrics import WorkerMetrics

# More than four a second nobody sees.
_PAUSE_SECONDS = 0.25


class Previews:
    """The previews of one worker."""

    def __init__(
        self, projection: PreviewProjection, blobs: BlobStore, threads: Executor, metrics: WorkerMetrics
    ) -> None:
        """The projection was fitted to the decoder at hand."""
        self._projection, self._blobs, self._threads, self._metrics = projection, blobs, threads, metrics

    def offer(self, flight: Flight, step: int, denoised: Callable[[], F32]) -> None:
        """After a step of the first picture of a flight that wants previews: write one if it is due.

        Args:
            flight: whose picture it is.
            step: steps that the picture has done.
            denoised: asked if it is due: [4,32,32] float32, what the step predicts the latents to become.
        """
        request = flight.job.request
        is_due = step % request.output.preview_every_steps == 0 and step < request.params.num_steps
        now = time.monotonic()
        if is_due and now - flight.previewed_at >= _PAUSE_SECONDS:
            flight.previewed_at = now
            try:
                latents = denoised().copy()
            except BackendError:
                return  # The next step will tell of the device.
            self._threads.submit(self._write, flight, latents)

    def _write(self, flight: Flight, denoised: F32) -> None:
        try:
            self._blobs.put_preview(flight.job.id, self._projection.picture(denoised))
        except StorageError:
            return  # The job itself will tell of the outage.
        self._metrics.previews.inc()
