"""A job in flight: its lease, how far it is, and the time that each stage has taken from it."""

from dataclasses import dataclass, field

from service.domain.job import ClaimedJob, Progress
from service.telemetry.spans import JobSpan


@dataclass(eq=False)
class Flight:
    """What the worker knows of a job besides its arrays; one delivery of one job.

    Attributes:
        job: the claim.
        arrived: monotonic seconds of the claim.
        stage: that it is in; empty before the first.
        step: denoising steps done; of several pictures their mean, rounded down.
        num_row_steps: the same, added up over its pictures.
        stage_seconds: wall time by stage so far; a batch's time counts whole for each job in it.
        cache: `hit` or `miss` for `source` and `pose`.
        is_lost: the job is no longer ours.
        previewed_at: monotonic seconds of its last preview.
        span: if it is traced.
    """

    job: ClaimedJob
    arrived: float
    stage: str = ""
    step: int = 0
    num_row_steps: int = 0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    cache: dict[str, str] = field(default_factory=dict)
    is_lost: bool = False
    previewed_at: float = 0.0
    span: JobSpan | None = None

    @property
    def key(self) -> str:
        """Its name inside the worker: a job that was lost may be claimed anew before its old delivery has left."""
        return f"{self.job.id}.{self.job.fence}"

    @property
    def num_images(self) -> int:
        """Pictures to make, each in a slot of its own."""
        return self.job.request.num_images

    @property
    def progress(self) -> Progress:
        """As the queue is told."""
        return Progress(self.stage, self.step)

    def advance(self, num_steps: int) -> None:
        """One of its pictures has taken so many steps."""
        self.num_row_steps += num_steps
        self.step = self.num_row_steps // self.num_images

    def spend(self, stage: str, seconds: float) -> None:
        """Add to a stage's time, of which this much has just passed."""
        self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds
        if self.span is not None:
            self.span.spend(stage, seconds)
