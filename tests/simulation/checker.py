"""What must hold for any scheduler and any order of events, kept as a model of its own.

It does not import the scheduler: it sees only its bounds, events, actions and the three answers.
"""

import math
from dataclasses import dataclass, field

from service.domain.execution import Execution
from service.domain.job import JobId, Priority
from service.domain.stage import Stage
from service.scheduling.actions import Action, CancelJob, DropJob, EndJob, ReleaseJob, RunBatch
from service.scheduling.events import (
    BatchFailed,
    BatchFinished,
    CancelRequested,
    DrainRequested,
    Event,
    JobArrived,
    LeaseLost,
)
from service.scheduling.policy import BatchPolicy
from tests.simulation.tracked import DECODES, LAG, TOGETHER, Tracked

ADMISSION = (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION)
STEPS = (Stage.DENOISE, Stage.DENOISE_LOW)


class BrokenInvariantError(Exception):
    """The scheduler did what it never may."""


def require(claim: bool, message: str) -> None:
    """The one place that complains."""
    if not claim:
        raise BrokenInvariantError(message)


@dataclass
class Checker:
    """Follows one scheduler and raises BrokenInvariantError at the first broken rule."""

    policy: BatchPolicy
    execution: Execution = Execution.STEPWISE
    jobs: dict[JobId, Tracked] = field(default_factory=dict)
    running: RunBatch | None = None
    is_draining: bool = False
    is_undisturbed: bool = False
    last_batch_id: int = 0
    num_arrived: int = 0
    num_left: int = 0
    longest: int = 0
    limits: dict[Stage, int] = field(init=False)
    most_rows: dict[Stage, int] = field(init=False)

    def __post_init__(self) -> None:
        self.most_rows = dict.fromkeys(Stage, self.policy.max_batch)
        if self.policy.max_low_batch is not None:
            most_low = min(self.policy.max_batch, self.policy.max_low_batch)
            self.most_rows |= {Stage.DENOISE_LOW: most_low, Stage.DECODE_LOW: most_low}
        self.limits = dict(self.most_rows)

    @property
    def free_slots(self) -> int:
        """What the scheduler has to offer."""
        if self.is_draining or any(job.arrival.is_suspect for job in self.jobs.values()):
            return 0
        return max(0, self.policy.max_slots - len(self.jobs))

    @property
    def next_wakeup(self) -> float | None:
        """The first deadline that will take a job away."""
        earliest = min((job.arrival.deadline for job in self.jobs.values() if not job.must_leave), default=math.inf)
        return None if earliest == math.inf else earliest

    def see_event(self, event: Event) -> None:
        """Called with every event that the scheduler is told."""
        self.is_undisturbed &= isinstance(event, BatchFinished | BatchFailed)
        match event:
            case JobArrived() if event.job_id not in self.jobs:
                encoders = {Stage.ENCODE_SOURCE, Stage.ENCODE_POSE} - event.skipped
                self.jobs[event.job_id] = Tracked(
                    event, self.execution, encoders, arrived=self.last_batch_id, served=self.last_batch_id
                )
                self.num_arrived += 1
                is_stepwise = self.execution is Execution.STEPWISE or event.is_low
                num_rows = event.num_steps if is_stepwise else 1
                self.longest = max(self.longest, num_rows + 4)
            case LeaseLost() if event.job_id in self.jobs:
                self.jobs[event.job_id].is_lost = True
            case CancelRequested() if event.job_id in self.jobs:
                self.jobs[event.job_id].is_cancelled = True
            case DrainRequested():
                self.is_draining = True
            case BatchFinished() | BatchFailed():
                batch = self.running
                if batch is not None and batch.batch_id == event.batch_id:
                    self.running = None
                    if event.num_steps:
                        self._see_finish(batch, event.num_steps)
                    if isinstance(event, BatchFailed):
                        self.last_batch_id += event.num_steps > 0
                        self._see_failure(batch, event)
            case _:
                pass

    def see_actions(self, actions: list[Action], now: float) -> None:
        """Called with everything that one next_actions gave."""
        for job in self.jobs.values():
            job.is_cancelled |= job.arrival.deadline <= now
        for action in actions:
            if isinstance(action, RunBatch):
                self._check_batch(action)
                self.running, self.is_undisturbed = action, True
            else:
                self._check_exit(action)
                del self.jobs[action.job_id]
                self.num_left += 1
                for job in self.jobs.values():
                    job.departures += 1
        busy = {row.job_id for row in self.running.rows} if self.running else set()
        for job_id, job in self.jobs.items():
            require(job_id in busy or not (job.must_leave or self.is_draining), f"{job_id} should have left")
        require(bool(actions) or self.running is not None or not self.jobs, "jobs wait and nothing is done")

    def _see_finish(self, batch: RunBatch, num_steps: int) -> None:
        self.last_batch_id += num_steps - 1
        if not any(self.jobs[row.job_id].arrival.is_suspect for row in batch.rows):
            for job in self._workable():
                job.waited += 1
                job.loops_waited += batch.stage is Stage.SAMPLE
                # advance() below forgives the rows that were served.
        for row in batch.rows:
            for batch_id in range(batch.batch_id, self.last_batch_id + 1):
                self.jobs[row.job_id].advance(batch_id, batch.stage)
        self._check_waits()
        if len(batch.rows) == self.limits[batch.stage]:
            self.limits[batch.stage] = min(self.limits[batch.stage] + 1, self.most_rows[batch.stage])

    def _see_failure(self, batch: RunBatch, event: BatchFailed) -> None:
        jobs = [self.jobs[row.job_id] for row in batch.rows]
        if event.is_device_gone:
            return
        if len(jobs) == 1:
            jobs[0].num_failures += 1
            jobs[0].owes_failure = event.is_out_of_memory or jobs[0].num_failures >= self.policy.max_attempts
        elif event.is_out_of_memory:
            self.limits[batch.stage] = len(jobs) // 2
        else:
            for job in jobs:
                job.has_shared_a_failure = True

    def _workable(self) -> list[Tracked]:
        """The jobs that hold a slot, suspects aside: they wait for the others, however long."""
        return [job for job in self.jobs.values() if not job.arrival.is_suspect][: self.policy.max_slots]

    def _check_waits(self) -> None:
        is_shortest_first, max_slots = self.policy.is_shortest_first, self.policy.max_slots
        for job_id, job in self.jobs.items():
            bound = job.most_waited(max_slots, self.longest, is_shortest_first=is_shortest_first)
            require(job.waited <= bound, f"{job_id} has waited {job.waited} batches, more than {bound}")
            most_loops = max_slots - 1 + LAG[job.arrival.priority]
            is_late = not is_shortest_first and job.loops_waited > most_loops
            require(not is_late, f"{job_id} has waited {job.loops_waited} whole loops")

    def _check_batch(self, batch: RunBatch) -> None:
        require(self.running is None, "two batches at a time")
        require(batch.batch_id == self.last_batch_id + 1, "batches are not numbered")
        self.last_batch_id = batch.batch_id
        require(1 <= len(batch.rows) <= self.limits[batch.stage], f"{len(batch.rows)} rows in {batch.stage}")
        require(len({row.job_id for row in batch.rows}) == len(batch.rows), "a job twice in a batch")
        if batch.stage is Stage.SAMPLE:
            lengths = {self.jobs[row.job_id].arrival.num_steps for row in batch.rows if row.job_id in self.jobs}
            require(len(lengths) <= 1, f"loops of {lengths} steps in one batch")
        for row in batch.rows:
            require(row.job_id in self.jobs, f"{row.job_id} is not in flight")
            job = self.jobs[row.job_id]
            require(not job.must_leave and not self.is_draining, f"{row.job_id} runs but should leave")
            require(job.expected == (batch.stage, row.step_index), f"{row.job_id} is not at {batch.stage} {row}")
            if len(batch.rows) > 1:
                require(not job.arrival.is_suspect, f"the suspect {row.job_id} shares a batch")
                require(not job.has_shared_a_failure, f"{row.job_id} must be repeated alone")
            if job.arrival.is_suspect and not job.has_begun:
                require(not self._workable(), f"the suspect {row.job_id} begins with others in flight")
        is_for_all = batch.stage in STEPS and len(batch.rows) == len(self.jobs)
        most_steps = min(self.jobs[row.job_id].num_steps_left for row in batch.rows) if is_for_all else 1
        require(batch.num_steps == most_steps, f"{batch.num_steps} steps at a time where {most_steps} are the same")
        self._check_order(batch)

    def _check_order(self, batch: RunBatch) -> None:
        """Decode before admission before steps or loops; a suspect that has begun before everybody."""
        begun = [job for job in self.jobs.values() if job.arrival.is_suspect and job.has_begun]
        if begun or any(self.jobs[row.job_id].arrival.is_suspect for row in batch.rows):
            served = [self.jobs[row.job_id] for row in batch.rows]
            require(not begun or served == begun, "a suspect that has begun was interrupted")
            return
        waiting = {job.expected[0] for job in self._workable() if job.expected}
        gathering = {stage for stage in DECODES if stage in waiting and self._must_gather(stage)}
        ready = waiting & set(DECODES) - gathering
        require(not ready or batch.stage in ready, "a decode was put off")
        require(batch.stage not in gathering, "a decode did not wait for others")
        is_late = batch.stage in (*STEPS, Stage.SAMPLE)
        require(not is_late or not waiting & set(ADMISSION), "an admission was put off")
        self._check_turn(batch)

    def _must_gather(self, stage: Stage) -> bool:
        """Whether an interactive job steps before the few decodes of the class BATCH that wait for this stage."""
        if self.policy.is_shortest_first:
            return False
        decodes = [job for job in self._workable() if job.expected and job.expected[0] is stage]
        is_for_few = len(decodes) < min(TOGETHER, self.limits[stage])
        first = min(job.rank(is_shortest_first=False) for job in decodes)
        return (
            is_for_few
            and any(
                job.expected and job.expected[0] in STEPS and job.served < first
                for job in self._workable()
                if job.arrival.priority is Priority.INTERACTIVE
            )
            and all(job.arrival.priority is Priority.BATCH for job in decodes)
        )

    def _check_turn(self, batch: RunBatch) -> None:
        """The first in line is there, and nobody is there in place of one who goes before."""
        # Steps and loops wait in one line, of which a batch takes those that can share it.
        late = (*STEPS, Stage.SAMPLE)
        stages = late if batch.stage in late else (batch.stage,)
        in_line = sorted(
            (job for job in self._workable() if job.expected and job.expected[0] in stages),
            key=lambda job: job.rank(self.policy.is_shortest_first),
        )
        served = {row.job_id for row in batch.rows}
        require(bool(in_line), f"{served} hold no slot")
        require(in_line[0].arrival.job_id in served, "the first in line was passed over")
        if in_line[0].has_shared_a_failure:
            return
        fitting = [
            job.arrival.job_id
            for job in in_line
            if not job.has_shared_a_failure
            and job.expected
            and job.expected[0] is batch.stage
            and (batch.stage is not Stage.SAMPLE or job.arrival.num_steps == in_line[0].arrival.num_steps)
        ]
        require(set(fitting[: self.limits[batch.stage]]) == served, f"{served} instead of the first of {fitting}")

    def _check_exit(self, action: EndJob | CancelJob | ReleaseJob | DropJob) -> None:
        require(action.job_id in self.jobs, f"{action} of a job that is not in flight")
        job = self.jobs[action.job_id]
        require(
            self.running is None or action.job_id not in {row.job_id for row in self.running.rows},
            f"{action} of a job in the running batch",
        )
        match action:
            case DropJob():
                require(job.is_lost, f"{action} of a job that is ours")
            case CancelJob():
                require(job.is_cancelled and not job.is_lost, f"{action} without cause")
            case EndJob(failure=None):
                require(job.is_decoded and not (job.is_lost or job.is_cancelled), f"{action} of what must go otherwise")
            case EndJob():
                require(job.owes_failure and not (job.is_lost or job.is_cancelled), f"{action} without cause")
            case ReleaseJob():
                require(self.is_draining and not job.must_leave, f"{action} without cause")
