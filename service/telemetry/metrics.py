"""Every metric's name, labels and buckets, in one place; label values are closed sets.

Each process has one registry of its own. Nothing is measured here: callers observe.
"""

from collections.abc import Callable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.domain.capacity import Capacity
from service.domain.errors import ServiceError
from service.domain.job import Priority
from service.domain.stage import Stage
from service.ports.audit import InvariantKind
from service.ports.queue import QueueFigures

# From a cache hit on a GPU (milliseconds) to a long job on a loaded CPU (minutes).
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
# A call of a function takes the queue's server some hundredths of a millisecond; after 2 s it is given up.
_CALL_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_ROWS = (1, 2, 3, 4, 6, 7, 8, 12, 16, 24, 32, 64)

LEAVING = ("succeeded", "failed", "retried", "released", "cancelled", "expired", "lost")
"""How a job leaves a worker."""

WebhookOutcome = Literal["delivered", "retried", "given_up", "disabled"]
"""What comes of one try of a webhook."""

_REFUSALS = ("full", "quota")
_CANCELLED_WHEN = ("queued", "running")


class _ProcessMetrics:
    """What gateway and worker have in common: a registry, readiness, the build."""

    def __init__(self, role: str, version: str) -> None:
        self.registry = CollectorRegistry()
        self.ready = Gauge("xmdpt_ready", "1 while the process would pass its readiness probe", registry=self.registry)
        self.build_info = Gauge(
            "xmdpt_build_info",
            "Constant 1, labelled with role and version",
            ["role", "version"],
            registry=self.registry,
        )
        self.build_info.labels(role, version).set(1)
        self.redis_errors = Counter(
            "xmdpt_redis_errors_total", "Calls of the queue that raised instead of answering", registry=self.registry
        )
        self.storage_errors = Counter(
            "xmdpt_storage_errors_total",
            "Calls of the picture store that raised instead of answering",
            registry=self.registry,
        )
        self.queue_call_seconds = Histogram(
            "xmdpt_queue_call_duration_seconds",
            "Calls of the queue's functions, with the network and the wait for a connection",
            ["function"],
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )

    def count_outage(self, error: ServiceError) -> None:
        """Count the error if it is the queue or the picture store that did not answer."""
        if error.code == "queue_unavailable":
            self.redis_errors.inc()
        elif error.code == "storage_unavailable":
            self.storage_errors.inc()

    def note_call(self, function: str, seconds: float) -> None:
        """A call of a function of the queue has lasted so long."""
        self.queue_call_seconds.labels(function).observe(seconds)


class _QueueMetrics(_ProcessMetrics):
    """The queue as a gateway sees it; each gateway reports the same one."""

    def __init__(self, role: str, version: str) -> None:
        super().__init__(role, version)
        self.queue_depth = Gauge(
            "xmdpt_queue_depth", "Jobs that wait for a worker", ["priority"], registry=self.registry
        )
        self.queue_oldest_wait = Gauge(
            "xmdpt_queue_oldest_wait_seconds",
            "Time that the oldest waiting job has waited",
            ["priority"],
            registry=self.registry,
        )
        self.jobs_running = Gauge("xmdpt_jobs_running", "Jobs that some worker holds", registry=self.registry)
        self.dead_letters = Gauge(
            "xmdpt_dead_letters", "Jobs that failed because their deliveries were used up", registry=self.registry
        )
        self.workers_live = Gauge(
            "xmdpt_workers_live", "Workers that have announced themselves lately", registry=self.registry
        )
        self.batches_open = Gauge("xmdpt_batches_open", "Batches that have not ended", registry=self.registry)
        self.batch_items_left = Gauge(
            "xmdpt_batch_items_left", "Items of open batches that have not ended", registry=self.registry
        )
        self.batch_pause = Gauge(
            "xmdpt_batch_pause_seconds",
            "Time since an item of the slowest open batch has ended, or since it was opened",
            registry=self.registry,
        )
        self.jobs_ended = Counter(
            "xmdpt_jobs_ended_total",
            "Jobs that have ended since the queue was made, whoever ended them: the queue's own count",
            ["outcome"],
            registry=self.registry,
        )
        self.deadline_missed = Counter(
            "xmdpt_deadline_missed_total",
            "Jobs that had not ended by their deadline, by the same count",
            registry=self.registry,
        )
        self._ends: dict[str, int] = {}
        self.invariant_violations = Counter(
            "xmdpt_queue_invariant_violations_total",
            "Findings of the auditor, each counted in every round that finds it",
            ["kind"],
            registry=self.registry,
        )
        # From the start: a rate over the first event of a series that did not exist would miss it.
        for kind in get_args(InvariantKind):
            self.invariant_violations.labels(kind)

    def show_queue(self, figures: QueueFigures) -> None:
        """Export what the queue says of itself."""
        for priority in Priority:
            self.queue_depth.labels(priority.value).set(figures.queued[priority])
            self.queue_oldest_wait.labels(priority.value).set(figures.oldest_wait_seconds[priority])
        self.jobs_running.set(figures.running)
        self.dead_letters.set(figures.num_dead)
        self.batches_open.set(figures.num_batches)
        self.batch_items_left.set(figures.batch_items_left)
        self.batch_pause.set(figures.batch_pause_seconds)
        for outcome, count in figures.ends.items():
            # A series begins at the queue's count, never at 0: the difference would look like as many ends at once.
            known = self._ends.get(outcome, 0)
            grown = count - known if count >= known else count
            self.jobs_ended.labels(outcome).inc(grown)
            if outcome == "deadline_exceeded":
                self.deadline_missed.inc(grown)
            self._ends[outcome] = count


class GatewayMetrics(_QueueMetrics):
    """The gateway's instruments."""

    def __init__(self, version: str) -> None:
        super().__init__("gateway", version)
        self.request_seconds = Histogram(
            "xmdpt_request_duration_seconds",
            "HTTP requests from the first byte of the head to the last byte of the answer",
            ["route", "code"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.input_rejected = Counter(
            "xmdpt_input_rejected_total", "Requests refused for what they hold", ["code"], registry=self.registry
        )
        self.admission_rejected = Counter(
            "xmdpt_admission_rejected_total",
            "Jobs refused because the queue, or their tenant's share of it, was full",
            ["reason"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "xmdpt_stage_duration_seconds",
            "One look for the person in a photo, with its decoding and the wait for a process",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self.cache_requests = Counter(
            "xmdpt_condition_cache_requests_total",
            "Photos from which a pose or a frame was taken, by whether the person had to be looked for",
            ["kind", "result"],
            registry=self.registry,
        )
        self.idempotent_replays = Counter(
            "xmdpt_idempotent_replays_total", "Submissions answered with an earlier one's job", registry=self.registry
        )
        self.cancelled = Counter(
            "xmdpt_cancelled_total", "Cancels accepted, by what the job was doing", ["when"], registry=self.registry
        )
        self.eta_error = Histogram(
            "xmdpt_eta_error_seconds",
            "Between the p50 that was forecast at submission and what the job took",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.webhook_deliveries = Counter(
            "xmdpt_webhook_deliveries_total", "Tries of webhooks, by their outcome", ["outcome"], registry=self.registry
        )
        self.webhook_blocked = Counter(
            "xmdpt_webhook_blocked_total",
            "Tries that sent nothing, as the receiver's name led to an address that is not public",
            registry=self.registry,
        )
        self.decoder_crashes = Counter(
            "xmdpt_decoder_crashes_total",
            "Picture decoders that died over a picture or took too long, and were replaced",
            registry=self.registry,
        )
        self.storage_free = Gauge(
            "xmdpt_storage_free_bytes", "Free on the disk of the picture store", registry=self.registry
        )
        self.storage_size = Gauge("xmdpt_storage_size_bytes", "Size of that disk", registry=self.registry)
        self.sse_clients = Gauge("xmdpt_sse_clients", "Clients that follow a job's events", registry=self.registry)
        for reason in _REFUSALS:
            self.admission_rejected.labels(reason)
        for when in _CANCELLED_WHEN:
            self.cancelled.labels(when)
        for outcome in get_args(WebhookOutcome):
            self.webhook_deliveries.labels(outcome)
        self.stage_seconds.labels("pose_photo")
        for result in ("hit", "miss"):
            self.cache_requests.labels("pose_photo", result)

    def tell_storage(self, space: Callable[[], tuple[int, int]]) -> None:
        """Export what this answers at each scrape: bytes free, and bytes in all."""
        self.storage_free.set_function(lambda: space()[0])
        self.storage_size.set_function(lambda: space()[1])


class WorkerMetrics(_ProcessMetrics):
    """The worker's instruments."""

    def __init__(self, version: str) -> None:
        super().__init__("worker", version)
        self.queue_wait = Histogram(
            "xmdpt_queue_wait_seconds",
            "From acceptance to claim",
            ["priority"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.job_seconds = Histogram(
            "xmdpt_job_duration_seconds",
            "From claim to the end of the job",
            ["model", "outcome"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "xmdpt_stage_duration_seconds",
            "One run of a stage: a call for all rows of a graph's batch, a picture for decode_input and encode_output",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self.step_batch_rows = Histogram(
            "xmdpt_step_batch_rows", "Rows that shared a denoising step", buckets=_ROWS, registry=self.registry
        )
        self.steps = Counter("xmdpt_steps_total", "Denoising steps done, counted in rows", registry=self.registry)
        self.jobs = Counter("xmdpt_jobs_total", "Jobs that left the worker", ["state"], registry=self.registry)
        self.images = Counter("xmdpt_images_total", "Pictures delivered", ["model"], registry=self.registry)
        self.deliveries = Counter(
            "xmdpt_job_deliveries_total", "Jobs claimed, repeats included", registry=self.registry
        )
        self.step_slots = Gauge("xmdpt_step_slots", "Pictures that the worker holds at most", registry=self.registry)
        self.step_batch_occupancy = Gauge(
            "xmdpt_step_batch_occupancy_ratio",
            "Rows of the last denoising step over the most that one may have; 0 while there is none",
            registry=self.registry,
        )
        self._max_rows = 1
        self.gpu_memory = Gauge(
            "xmdpt_gpu_memory_bytes",
            "Memory of the worker's GPU; absent on a CPU and where Triton has the GPU",
            ["kind"],
            registry=self.registry,
        )
        self.lease_lost = Counter(
            "xmdpt_lease_lost_total", "Jobs dropped because their lease had ended", registry=self.registry
        )
        self.finish = Counter(
            "xmdpt_finish_total", "Answers of the queue to a finish", ["verdict"], registry=self.registry
        )
        self.suspects = Counter(
            "xmdpt_suspects_total", "Jobs claimed after a delivery that was lost", registry=self.registry
        )
        self.cache_requests = Counter(
            "xmdpt_condition_cache_requests_total",
            "Source and pose vectors that jobs needed, by whether an encoder had to run",
            ["kind", "result"],
            registry=self.registry,
        )
        self.previews = Counter("xmdpt_previews_total", "Previews written", registry=self.registry)
        self.step_curve = Gauge(
            "xmdpt_step_curve_seconds",
            "Time of one denoising step by the rows that share it, as measured at the start",
            ["rows"],
            registry=self.registry,
        )
        self.call_seconds = Gauge(
            "xmdpt_backend_call_seconds", "The part of a step that is the call itself", registry=self.registry
        )
        # Each label once: a look-up at every step would cost as much as the observation.
        self.batch_seconds = {stage: self.stage_seconds.labels(stage) for stage in Stage}
        # From the start: a rate over the first event of a series that did not exist would miss it.
        for outcome in LEAVING:
            self.jobs.labels(outcome)
        for priority in Priority:
            self.queue_wait.labels(priority.value)
        for kind in ("source", "pose"):
            for result in ("hit", "miss"):
                self.cache_requests.labels(kind, result)

    def count_steps(self, num_rows: int, num_steps: int) -> None:
        """So many rows have shared so many denoising steps; see `begin_steps`."""
        for _ in range(num_steps):
            self.step_batch_rows.observe(num_rows)
        self.steps.inc(num_rows * num_steps)

    def begin_steps(self, num_rows: int) -> None:
        """So many rows take denoising steps together from now on."""
        self.step_batch_occupancy.set(num_rows / self._max_rows)

    def rest(self) -> None:
        """There is nothing to do on the device."""
        self.step_batch_occupancy.set(0)

    def tell_gpu(self, memory: Callable[[], tuple[int, int]]) -> None:
        """Export what this answers at each scrape: bytes used, and bytes in all."""
        for index, kind in enumerate(("used", "total")):
            self.gpu_memory.labels(kind).set_function(lambda index=index: memory()[index])

    def tell_model(self, model: str) -> None:
        """The variant that this worker runs."""
        self.images.labels(model)
        for outcome in LEAVING:
            self.job_seconds.labels(model, outcome)

    def tell_capacity(self, capacity: Capacity) -> None:
        """Export the calibration."""
        self._max_rows = capacity.max_batch
        for rows, seconds in capacity.curve.points:
            self.step_curve.labels(rows).set(seconds)
        self.call_seconds.set(capacity.curve.call_seconds)
