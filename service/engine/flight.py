"""A job in flight: its lease, and the time that each stage has taken from it."""

from dataclasses import dataclass, field

from service.domain.job import ClaimedJob


@dataclass
class Flight:
    """What the worker knows of a job besides its arrays.

    Attributes:
        job: the claim.
        arrived: monotonic seconds of the claim.
        stage_seconds: wall time by stage so far; a batch's time counts whole for each of its rows.
    """

    job: ClaimedJob
    arrived: float
    stage_seconds: dict[str, float] = field(default_factory=dict)

    def spend(self, stage: str, seconds: float) -> None:
        """Add to a stage's time."""
        self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds
