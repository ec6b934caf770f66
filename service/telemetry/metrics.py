"""Every metric's name, labels and buckets, in one place; label values are closed sets.

Each process has one registry of its own. Nothing is measured here: callers observe.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.domain.errors import ServiceError

# From a cache hit on a GPU (milliseconds) to a long job on a loaded CPU (minutes).
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
_ROWS = (1, 2, 3, 4, 6, 7, 8, 12, 16, 24, 32, 64)

LEAVING = ("succeeded", "failed", "retried", "released", "lost")
"""How a job leaves a worker."""


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

    def count_outage(self, error: ServiceError) -> None:
        """Count the error if it is the queue that did not answer."""
        if error.code == "queue_unavailable":
            self.redis_errors.inc()


class GatewayMetrics(_ProcessMetrics):
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
        self.queue_depth = Gauge("xmdpt_queue_depth", "Jobs that wait for a worker", registry=self.registry)
        self.queue_oldest_wait = Gauge(
            "xmdpt_queue_oldest_wait_seconds", "Time that the oldest waiting job has waited", registry=self.registry
        )
        self.jobs_running = Gauge("xmdpt_jobs_running", "Jobs that some worker holds", registry=self.registry)


class WorkerMetrics(_ProcessMetrics):
    """The worker's instruments."""

    def __init__(self, version: str) -> None:
        super().__init__("worker", version)
        self.queue_wait = Histogram(
            "xmdpt_queue_wait_seconds", "From acceptance to claim", buckets=_SECONDS, registry=self.registry
        )
        self.job_seconds = Histogram(
            "xmdpt_job_duration_seconds",
            "From claim to the end of the job",
            ["outcome"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "xmdpt_stage_duration_seconds",
            "One run of a stage: a batch for the graphs, a picture for decode_input and encode_output",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self.step_batch_rows = Histogram(
            "xmdpt_step_batch_rows", "Rows that shared a denoising step", buckets=_ROWS, registry=self.registry
        )
        self.steps = Counter("xmdpt_steps_total", "Denoising steps done, counted in rows", registry=self.registry)
        self.jobs = Counter("xmdpt_jobs_total", "Jobs that left the worker", ["state"], registry=self.registry)
        self.step_slots = Gauge("xmdpt_step_slots", "Jobs that the worker holds at most", registry=self.registry)
        self.lease_lost = Counter(
            "xmdpt_lease_lost_total", "Jobs dropped because their lease had ended", registry=self.registry
        )
        self.finish = Counter(
            "xmdpt_finish_total", "Answers of the queue to a finish", ["verdict"], registry=self.registry
        )
        # From the start: a rate over the first event of a series that did not exist would miss it.
        for outcome in LEAVING:
            self.jobs.labels(outcome)
            self.job_seconds.labels(outcome)
