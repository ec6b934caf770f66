"""The scheduler: keeps the jobs in flight of one device and says what to do next.

It decides nothing about rows (`service.scheduling.policy`), and it runs nothing: the shell performs its actions and
tells it what came of them.
"""

import math

from service.domain.execution import Execution
from service.domain.job import JobId
from service.domain.stage import Stage
from service.scheduling.actions import Action, CancelJob, DropJob, EndJob, ReleaseJob, Row, RunBatch
from service.scheduling.events import (
    BatchFailed,
    BatchFinished,
    CancelRequested,
    DrainRequested,
    Event,
    JobArrived,
    LeaseLost,
)
from service.scheduling.policy import BatchPolicy, choose_jobs, workable_jobs
from service.scheduling.progress import STEPS, JobProgress, stage_table


class Scheduler:
    """Events in, actions out; the same events give the same actions.

    The shell calls `handle` for what happened, then `next_actions` until it gives nothing, then waits for an event or
    for `next_wakeup`. Only a deadline wakes: jobs join at the next step or the next whole loop, so no batch ever waits
    for company. While a batch of several steps runs, the shell ends it at the next step if an event comes or it is time
    to wake, so that several steps are never more than what single ones would have been.
    """

    def __init__(
        self, policy: BatchPolicy, execution: Execution = Execution.STEPWISE, *, has_low_decoder: bool = False
    ) -> None:
        """Start empty; every job that arrives takes its steps and its decoder as the device has them."""
        self._policy = policy
        self._execution, self._has_low_decoder = execution, has_low_decoder
        self._jobs: dict[JobId, JobProgress] = {}  # in order of arrival
        self._exits: dict[JobId, Action] = {}  # how a job of the above leaves, once that is decided
        self._running: RunBatch | None = None
        self._last_batch_id = 0
        # By stage, because a decoder that doesn't fit says nothing about a step.
        self._limits = {stage: self._most_rows(stage) for stage in Stage}
        self._is_draining = False

    def _most_rows(self, stage: Stage) -> int:
        most, most_low = self._policy.max_batch, self._policy.max_low_batch
        return min(most, most_low) if stage.is_low and most_low else most

    @property
    def is_idle(self) -> bool:
        """True if no job is in flight: until the next arrival there is nothing to do."""
        return not self._jobs

    def free_slots(self) -> int:
        """Jobs to claim now, 0 while draining or with a suspect in flight; a job holds a slot until its exit is out."""
        if self._is_draining or any(job.is_suspect for job in self._jobs.values()):
            return 0
        return max(0, self._policy.max_slots - len(self._jobs))

    def next_wakeup(self) -> float | None:
        """When to call `next_actions` though nothing has happened: monotonic seconds, None if that is never."""
        deadlines = (job.deadline for job_id, job in self._jobs.items() if job_id not in self._exits)
        earliest = min(deadlines, default=math.inf)
        return None if earliest == math.inf else earliest

    def handle(self, event: Event, now: float) -> None:
        """Take note of what happened; ids that are not known (any more) are late answers and change nothing.

        A lost job is dropped, whatever else was to become of it; else a cancelled one is cancelled, though its picture
        or its failure may be there already.

        Args:
            event: what happened.
            now: monotonic seconds; part of the contract, no rule needs it so far.

        Raises:
            ValueError: an arriving job's table makes no sense (see `stage_table`); nothing has changed.
        """
        match event:
            case JobArrived():
                self._arrive(event)
            case LeaseLost(job_id):
                if job_id in self._jobs:
                    self._exits[job_id] = DropJob(job_id)
            case CancelRequested(job_id):
                if job_id in self._jobs:
                    self._cancel(job_id)
            case DrainRequested():
                self._is_draining = True
            case _:
                self._end_batch(event)

    def next_actions(self, now: float) -> list[Action]:
        """What to do now, in this order; to be called again after that, until there is nothing.

        Exits come in a list of their own, so that their slots can be claimed before the next batch is formed.

        Args:
            now: monotonic seconds, as in `handle`.

        Returns:
            The exits that are due; without any, the next RunBatch; nothing while a batch runs or no job is here.
        """
        for job in self._jobs.values():
            if job.deadline <= now:
                self._cancel(job.job_id)
        exits = self._take_exits()
        if exits or self._running is not None or not self._jobs:
            return exits
        self._running = self._form_batch()
        return [self._running]

    def _arrive(self, event: JobArrived) -> None:
        if event.job_id not in self._jobs:
            table = stage_table(
                event.num_steps,
                event.skipped,
                self._execution,
                is_low=event.is_low,
                has_low_decoder=self._has_low_decoder,
            )
            self._jobs[event.job_id] = JobProgress(
                event.job_id,
                table,
                event.num_steps,
                event.is_suspect,
                served=self._last_batch_id,
                priority=event.priority,
                deadline=event.deadline,
            )

    def _cancel(self, job_id: JobId) -> None:
        """It leaves at the next step, unless the queue has taken it already."""
        if not isinstance(self._exits.get(job_id), DropJob):
            self._exits[job_id] = CancelJob(job_id)

    def _end_batch(self, event: BatchFinished | BatchFailed) -> None:
        batch = self._running
        if batch is None or batch.batch_id != event.batch_id:
            return
        self._running = None
        if event.num_steps:
            self._finish(batch, event.num_steps)
        if isinstance(event, BatchFailed):
            self._fail(batch, event)

    def _finish(self, batch: RunBatch, num_steps: int) -> None:
        # As if each step had been a batch of its own.
        self._last_batch_id += num_steps - 1
        for row in batch.rows:
            job = self._jobs[row.job_id]
            job.advance(self._last_batch_id, num_steps)
            if job.is_complete:
                self._exits.setdefault(job.job_id, EndJob(job.job_id))
        if len(batch.rows) == self._limits[batch.stage]:
            self._limits[batch.stage] = min(len(batch.rows) + 1, self._most_rows(batch.stage))

    def _fail(self, batch: RunBatch, event: BatchFailed) -> None:
        if event.num_steps:
            # The step that failed would have been one more batch.
            self._last_batch_id += 1
        if event.is_device_gone:
            return
        jobs = [self._jobs[row.job_id] for row in batch.rows]
        if len(jobs) > 1 and event.is_out_of_memory:
            # Half of what didn't fit, not of the limit: a half-full batch must not be repeated as it was.
            self._limits[batch.stage] = len(jobs) // 2
        elif len(jobs) > 1:
            for job in jobs:
                job.must_run_alone = True
        else:
            (job,) = jobs
            job.num_failures += 1
            if event.is_out_of_memory or job.num_failures >= self._policy.max_attempts:
                self._exits.setdefault(job.job_id, EndJob(job.job_id, event.failure))

    def _take_exits(self) -> list[Action]:
        """Remove the jobs that can leave now; those of the running batch stay until it has ended."""
        if not self._exits and not self._is_draining:
            return []
        busy = {row.job_id for row in self._running.rows} if self._running else set[JobId]()
        leaving = [
            job_id for job_id in self._jobs if job_id not in busy and (self._is_draining or job_id in self._exits)
        ]
        for job_id in leaving:
            del self._jobs[job_id]
        return [self._exits.pop(job_id, ReleaseJob(job_id)) for job_id in leaving]

    def _form_batch(self) -> RunBatch:
        workable = workable_jobs(self._jobs.values(), self._policy.max_slots)
        jobs = choose_jobs(workable, self._limits, is_shortest_first=self._policy.is_shortest_first)
        self._last_batch_id += 1
        rows, stage = tuple(Row(job.job_id, job.step_index) for job in jobs), jobs[0].stage
        # With nobody left out, these rows would be chosen again as long as each has a step to take.
        is_everybody = len(jobs) == len(self._jobs)
        num_steps = min(job.num_steps_left for job in jobs) if stage in STEPS and is_everybody else 1
        return RunBatch(self._last_batch_id, stage, rows, num_steps)
