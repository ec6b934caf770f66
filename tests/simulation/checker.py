"""What must hold for any scheduler and any order of events, kept as a model of its own.

It does not import the scheduler: it sees only events, actions and the three answers.
"""

from dataclasses import dataclass, field

from service.domain.execution import Execution
from service.domain.job import JobId
from service.domain.stage import Stage
from service.scheduling.actions import Action, DropJob, EndJob, ReleaseJob, RunBatch
from service.scheduling.events import BatchFailed, BatchFinished, DrainRequested, Event, JobArrived, LeaseLost

ADMISSION = (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION)
# The bound of policy.choose_jobs: batches that each other job may get in first.
MOST_AHEAD = {Execution.STEPWISE: 3, Execution.WHOLE_LOOP: 4}


class BrokenInvariantError(Exception):
    """The scheduler did what it never may."""


def require(claim: bool, message: str) -> None:
    """The one place that complains."""
    if not claim:
        raise BrokenInvariantError(message)


@dataclass
class Tracked:
    """A job in flight, as the events and actions so far describe it."""

    arrival: JobArrived
    execution: Execution
    encoders: set[Stage]
    is_conditioned: bool = False
    num_steps_done: int = 0
    is_decoded: bool = False
    has_shared_a_failure: bool = False
    num_failures: int = 0
    owes_failure: bool = False
    is_lost: bool = False
    has_begun: bool = False
    waited: int = 0
    loops_waited: int = 0
    departures: int = 0

    @property
    def expected(self) -> set[tuple[Stage, int]]:
        """What its next row may be: encoders in any order, then everything in line."""
        if self.encoders:
            return {(stage, 0) for stage in self.encoders}
        if not self.is_conditioned:
            return {(Stage.CONDITION, 0)}
        if self.num_steps_done < self.arrival.num_steps:
            is_whole = self.execution is Execution.WHOLE_LOOP
            return {(Stage.SAMPLE, 0) if is_whole else (Stage.DENOISE, self.num_steps_done)}
        return set() if self.is_decoded else {(Stage.DECODE, 0)}

    @property
    def must_leave(self) -> bool:
        """Its fate is decided."""
        return self.is_decoded or self.owes_failure or self.is_lost

    def advance(self, stage: Stage) -> None:
        """One row of it was done."""
        self.encoders.discard(stage)
        self.is_conditioned |= stage is Stage.CONDITION
        self.num_steps_done += {Stage.DENOISE: 1, Stage.SAMPLE: self.arrival.num_steps}.get(stage, 0)
        self.is_decoded |= stage is Stage.DECODE
        self.has_shared_a_failure, self.num_failures = False, 0
        self.waited = self.loops_waited = self.departures = 0


@dataclass
class Checker:
    """Follows one scheduler and raises BrokenInvariantError at the first broken rule."""

    max_batch: int
    max_slots: int
    max_attempts: int
    execution: Execution = Execution.STEPWISE
    jobs: dict[JobId, Tracked] = field(default_factory=dict)
    running: RunBatch | None = None
    is_draining: bool = False
    batch_ids: set[int] = field(default_factory=set)
    num_arrived: int = 0
    num_left: int = 0
    limits: dict[Stage, int] = field(init=False)

    def __post_init__(self) -> None:
        self.limits = dict.fromkeys(Stage, self.max_batch)

    @property
    def free_slots(self) -> int:
        """What the scheduler has to offer."""
        if self.is_draining or any(job.arrival.is_suspect for job in self.jobs.values()):
            return 0
        return max(0, self.max_slots - len(self.jobs))

    def see_event(self, event: Event) -> None:
        """Called with every event that the scheduler is told."""
        match event:
            case JobArrived() if event.job_id not in self.jobs:
                encoders = {Stage.ENCODE_SOURCE, Stage.ENCODE_POSE} - event.skipped
                self.jobs[event.job_id] = Tracked(event, self.execution, encoders)
                self.num_arrived += 1
            case LeaseLost() if event.job_id in self.jobs:
                self.jobs[event.job_id].is_lost = True
            case DrainRequested():
                self.is_draining = True
            case BatchFinished() | BatchFailed():
                batch = self.running
                if batch is not None and batch.batch_id == event.batch_id:
                    self.running = None
                    if isinstance(event, BatchFinished):
                        self._see_finish(batch)
                    else:
                        self._see_failure(batch, event)
            case _:
                pass

    def see_actions(self, actions: list[Action]) -> None:
        """Called with everything that one next_actions gave."""
        for action in actions:
            if isinstance(action, RunBatch):
                self._check_batch(action)
                self.running = action
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

    def _see_finish(self, batch: RunBatch) -> None:
        if not any(self.jobs[row.job_id].arrival.is_suspect for row in batch.rows):
            for job in self._workable():
                job.waited += 1
                job.loops_waited += batch.stage is Stage.SAMPLE
                # advance() below forgives the rows that were served.
        for row in batch.rows:
            self.jobs[row.job_id].advance(batch.stage)
        for job_id, job in self.jobs.items():
            bound = MOST_AHEAD[self.execution] * (self.max_slots - 1 + job.departures)
            require(job.waited <= bound, f"{job_id} has waited {job.waited} batches, more than {bound}")
            require(job.loops_waited < self.max_slots, f"{job_id} has waited {job.loops_waited} whole loops")
        if len(batch.rows) == self.limits[batch.stage]:
            self.limits[batch.stage] = min(self.limits[batch.stage] + 1, self.max_batch)

    def _see_failure(self, batch: RunBatch, event: BatchFailed) -> None:
        jobs = [self.jobs[row.job_id] for row in batch.rows]
        if len(jobs) == 1:
            jobs[0].num_failures += 1
            jobs[0].owes_failure = event.is_out_of_memory or jobs[0].num_failures >= self.max_attempts
        elif event.is_out_of_memory:
            self.limits[batch.stage] = len(jobs) // 2
        else:
            for job in jobs:
                job.has_shared_a_failure = True

    def _workable(self) -> list[Tracked]:
        """The jobs that hold a slot, suspects aside: they wait for the others, however long."""
        return [job for job in self.jobs.values() if not job.arrival.is_suspect][: self.max_slots]

    def _check_batch(self, batch: RunBatch) -> None:
        require(self.running is None, "two batches at a time")
        require(batch.batch_id not in self.batch_ids, "a batch id twice")
        self.batch_ids.add(batch.batch_id)
        require(1 <= len(batch.rows) <= self.limits[batch.stage], f"{len(batch.rows)} rows in {batch.stage}")
        require(len({row.job_id for row in batch.rows}) == len(batch.rows), "a job twice in a batch")
        if batch.stage is Stage.SAMPLE:
            lengths = {self.jobs[row.job_id].arrival.num_steps for row in batch.rows if row.job_id in self.jobs}
            require(len(lengths) <= 1, f"loops of {lengths} steps in one batch")
        for row in batch.rows:
            require(row.job_id in self.jobs, f"{row.job_id} is not in flight")
            job = self.jobs[row.job_id]
            require(not job.must_leave and not self.is_draining, f"{row.job_id} runs but should leave")
            require((batch.stage, row.step_index) in job.expected, f"{row.job_id} is not at {batch.stage} {row}")
            if len(batch.rows) > 1:
                require(not job.arrival.is_suspect, f"the suspect {row.job_id} shares a batch")
                require(not job.has_shared_a_failure, f"{row.job_id} must be repeated alone")
            if job.arrival.is_suspect and not job.has_begun:
                require(not self._workable(), f"the suspect {row.job_id} begins with others in flight")
        self._check_order(batch)
        for row in batch.rows:
            self.jobs[row.job_id].has_begun = True

    def _check_order(self, batch: RunBatch) -> None:
        """Decode before admission before steps or loops; a suspect that has begun before everybody."""
        begun = [job for job in self.jobs.values() if job.arrival.is_suspect and job.has_begun]
        if begun or any(self.jobs[row.job_id].arrival.is_suspect for row in batch.rows):
            served = [self.jobs[row.job_id] for row in batch.rows]
            require(not begun or served == begun, "a suspect that has begun was interrupted")
            return
        waiting = {stage for job in self._workable() for stage, _ in job.expected}
        require(batch.stage is Stage.DECODE or Stage.DECODE not in waiting, "a decode was put off")
        is_late = batch.stage in (Stage.DENOISE, Stage.SAMPLE)
        require(not is_late or not waiting & set(ADMISSION), "an admission was put off")

    def _check_exit(self, action: EndJob | ReleaseJob | DropJob) -> None:
        require(action.job_id in self.jobs, f"{action} of a job that is not in flight")
        job = self.jobs[action.job_id]
        require(
            self.running is None or action.job_id not in {row.job_id for row in self.running.rows},
            f"{action} of a job in the running batch",
        )
        match action:
            case DropJob():
                require(job.is_lost, f"{action} of a job that is ours")
            case EndJob(failure=None):
                require(job.is_decoded and not job.is_lost, f"{action} without a picture or a lease")
            case EndJob():
                require(job.owes_failure and not job.is_lost, f"{action} without cause")
            case ReleaseJob():
                require(self.is_draining and not job.must_leave, f"{action} without cause")
