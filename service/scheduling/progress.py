"""A job's stages as a table, and how far down the table the job is.

It does not choose who runs next: that is `service.scheduling.policy`.
"""

import math
from collections.abc import Set
from dataclasses import dataclass, field

from service.domain.execution import Execution
from service.domain.job import JobId, Priority
from service.domain.stage import Stage

STEPS = frozenset({Stage.DENOISE, Stage.DENOISE_LOW})
"""Those of one denoising step a row."""
DECODES = frozenset({Stage.DECODE, Stage.DECODE_LOW})
SKIPPABLE = frozenset({Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION})


def stage_table(
    num_steps: int,
    skipped: Set[Stage] = frozenset(),
    execution: Execution = Execution.STEPWISE,
    *,
    is_low: bool = False,
    has_low_decoder: bool = False,
) -> tuple[tuple[Stage, int], ...]:
    """Every row that the job will take in a batch, in order, as (stage, step index).

    Args:
        num_steps: denoising steps, >= 1.
        skipped: stages whose output is already at hand; only those before the steps can be.
        execution: whether each step is a row of its own, or all of them together are one.
        is_low: the steps are computed in low precision, for which there is no loop: each is a row of its own.
        has_low_decoder: what then follows is decoded in low precision, too.

    Raises:
        ValueError: num_steps is below 1, or a stage is skipped that is not before the steps.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps is {num_steps}, must be at least 1")
    if not skipped <= SKIPPABLE:
        raise ValueError(f"skipped holds {', '.join(sorted(skipped - SKIPPABLE))}: the steps can't be skipped")
    before = (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION)
    if execution is Execution.WHOLE_LOOP and not is_low:
        steps = [(Stage.SAMPLE, 0)]
    else:
        steps = [(Stage.DENOISE_LOW if is_low else Stage.DENOISE, index) for index in range(num_steps)]
    decode = Stage.DECODE_LOW if is_low and has_low_decoder else Stage.DECODE
    return (*((stage, 0) for stage in before if stage not in skipped), *steps, (decode, 0))


@dataclass
class JobProgress:
    """One job in flight.

    Attributes:
        job_id: the job.
        table: what `stage_table` made for it.
        num_steps: denoising steps, >= 1; jobs share a whole loop only if theirs are equal.
        is_suspect: it never shares a batch, and nothing else is in flight while it is at work.
        served: id of the last batch that brought it forward; at first the last one begun before it arrived.
        priority: its class.
        deadline: monotonic seconds; not ended by then, it leaves.
        arrived: id of the last batch that was begun before it arrived.
        num_steps_left: denoising steps not done yet.
        position: rows of the table that are done.
        num_failures: batches that failed with this job alone in them, since it last came forward.
        must_run_alone: a batch that it shared has failed, and it has not come forward since.
    """

    job_id: JobId
    table: tuple[tuple[Stage, int], ...]
    num_steps: int
    is_suspect: bool
    served: int
    priority: Priority = Priority.INTERACTIVE
    deadline: float = math.inf
    arrived: int = field(init=False)
    num_steps_left: int = field(init=False)
    position: int = 0
    num_failures: int = 0
    must_run_alone: bool = False

    def __post_init__(self) -> None:
        self.arrived = self.served
        self.num_steps_left = self.num_steps

    @property
    def stage(self) -> Stage:
        """The stage it waits for; a complete job has none."""
        return self.table[self.position][0]

    @property
    def step_index(self) -> int:
        """0 .. num_steps-1 in DENOISE and DENOISE_LOW, else 0."""
        return self.table[self.position][1]

    @property
    def is_started(self) -> bool:
        """True once a batch of its own has ended, well or badly."""
        return self.position > 0 or self.num_failures > 0

    @property
    def is_complete(self) -> bool:
        """True once the picture is there."""
        return self.position == len(self.table)

    def advance(self, batch_id: int, num_rows: int = 1) -> None:
        """Its row in this batch is done, or so many steps, and what went wrong before is forgiven."""
        if self.stage in STEPS:
            self.num_steps_left -= num_rows
        elif self.stage is Stage.SAMPLE:
            self.num_steps_left = 0
        self.position += num_rows
        self.served = batch_id
        self.num_failures = 0
        self.must_run_alone = False
