"""What a worker can do, as measured at its warm-up, and what it does: the step curve, what follows from it, its report.

It measures nothing (`service.engine.calibration`) and decides nothing (`service.scheduling.cost_model`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from service.domain.execution import Execution


@dataclass(frozen=True)
class StepCurve:
    """Time of one denoising step against the rows that share it.

    Attributes:
        points: (rows, seconds) with growing rows, at least one; rows >= 1, seconds >= 0.
        call_seconds: the part of each of these that is the call itself and not the network.

    Raises:
        ValueError: no point, or the rows do not grow.
    """

    points: Sequence[tuple[int, float]]
    call_seconds: float = 0.0

    def __post_init__(self) -> None:
        rows = [rows for rows, _ in self.points]
        if not rows or rows[0] < 1 or any(later <= earlier for earlier, later in pairwise(rows)):
            raise ValueError(f"points must have growing rows of at least 1, not {rows}")

    @property
    def max_rows(self) -> int:
        """The largest batch that was measured."""
        return self.points[-1][0]

    def seconds(self, rows: float) -> float:
        """Time of a step of so many rows: between two points on the line through them, beyond the ends on the last."""
        points = list(self.points)
        if len(points) == 1:
            return points[0][1] * max(1.0, rows / points[0][0])
        upper = next((i for i in range(1, len(points)) if rows <= points[i][0]), len(points) - 1)
        (rows_0, seconds_0), (rows_1, seconds_1) = points[upper - 1], points[upper]
        slope = (seconds_1 - seconds_0) / (rows_1 - rows_0)
        return max(0.0, seconds_0 + slope * (rows - rows_0))

    def network_seconds(self, rows: float) -> float:
        """The same without the call, as within a whole loop."""
        return max(0.0, self.seconds(rows) - self.call_seconds)


@dataclass(frozen=True)
class Capacity:
    """How a worker works: chosen from its curve, or set by the operator.

    Attributes:
        curve: as measured.
        stage_seconds: time of one row of every other stage, by the stage's name.
        execution: step by step, or whole loops.
        max_batch: most rows of a call.
        num_slots: pictures in flight.
        is_shortest_first: batching brings little here, so the jobs that need least go first.
        low_step_ratio: time of a step in low precision over that of another one, both of the most rows that
            were timed, up to those of a call in low precision; 1 where there is none.
        max_low_batch: most rows of a call in low precision; None, as of a worker from before there was this figure: as
            many as of any other.
    """

    curve: StepCurve
    stage_seconds: Mapping[str, float]
    execution: Execution
    max_batch: int
    num_slots: int
    is_shortest_first: bool = False
    low_step_ratio: float = 1.0
    max_low_batch: int | None = None

    def most_rows(self, *, is_low: bool) -> int:
        """Most rows of a call of this precision."""
        return self.max_low_batch or self.max_batch if is_low else self.max_batch


@dataclass(frozen=True)
class Activity:
    """What a worker does at the time of its report.

    Attributes:
        in_flight: pictures that are in its slots.
        rows_per_step: mean of the rows that have shared a denoising step since its report before, or in the last one
            that had any while pictures are in flight; 0 if there is neither.
        num_pictures: made since its start.
    """

    in_flight: int = 0
    rows_per_step: float = 0.0
    num_pictures: int = 0


@dataclass(frozen=True)
class WorkerReport:
    """What a living worker says of itself.

    Attributes:
        worker: its name, new with each start.
        runtime: what runs its graphs.
        model_digest: of these graphs.
        capacity: as it works.
        activity: what it does.
    """

    worker: str
    runtime: str
    model_digest: str
    capacity: Capacity
    activity: Activity = Activity()


@dataclass(frozen=True)
class Eta:
    """When a job will have ended, seconds from now: half of all such jobs by p50, nine of ten by p90."""

    p50_seconds: float
    p90_seconds: float
