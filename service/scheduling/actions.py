"""What to do, in the imperative: everything the scheduler ever asks of its shell."""

from dataclasses import dataclass
from typing import NamedTuple

from service.domain.job import JobFailure, JobId
from service.domain.stage import Stage


class Row(NamedTuple):
    """One row of a batch.

    Attributes:
        job_id: whose arrays fill it.
        step_index: 0 .. num_steps-1 in DENOISE and DENOISE_LOW, else 0.
    """

    job_id: JobId
    step_index: int = 0


@dataclass(frozen=True)
class RunBatch:
    """Run one graph over these rows and answer with BatchFinished or BatchFailed.

    Attributes:
        batch_id: growing.
        stage: which graph.
        rows: what fills it, one at least.
        num_steps: so many steps of all rows at most, one after another, of which each row names the first: nothing
            would be decided between them, unless something happens. More than 1 only in DENOISE and DENOISE_LOW.
    """

    batch_id: int
    stage: Stage
    rows: tuple[Row, ...]
    num_steps: int = 1


@dataclass(frozen=True)
class EndJob:
    """The job is done: commit its picture, or its failure if there is one; it has left the scheduler."""

    job_id: JobId
    failure: JobFailure | None = None


@dataclass(frozen=True)
class CancelJob:
    """Tell the queue that the job has stopped as it wished, or because its deadline is over; it has left."""

    job_id: JobId


@dataclass(frozen=True)
class ReleaseJob:
    """Give the job back to the queue unharmed; it has left the scheduler."""

    job_id: JobId


@dataclass(frozen=True)
class DropJob:
    """Forget the job's arrays without telling the queue: the job is no longer ours."""

    job_id: JobId


Action = RunBatch | EndJob | CancelJob | ReleaseJob | DropJob
