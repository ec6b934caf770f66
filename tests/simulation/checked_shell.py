"""A shell without a device: a scheduler under the eyes of the checker, in virtual time."""

import math

from service.domain.execution import Execution
from service.domain.job import JobFailure, JobId, Priority
from service.domain.stage import Stage
from service.scheduling.actions import Action, RunBatch
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
from service.scheduling.scheduler import Scheduler
from tests.simulation.checker import Checker, require

FAULT = JobFailure("backend_error", "the graph raised")
OUT_OF_MEMORY = JobFailure("resource_exhausted", "the device has no memory left")
ENCODERS = frozenset({Stage.ENCODE_SOURCE, Stage.ENCODE_POSE})


class CheckedShell:
    """Tells events, collects actions; raises BrokenInvariantError as soon as a rule is broken. It has a low decoder."""

    def __init__(
        self,
        policy: BatchPolicy,
        execution: Execution = Execution.STEPWISE,
        kind: type[Scheduler] = Scheduler,
    ) -> None:
        self.scheduler = kind(policy, execution, has_low_decoder=True)
        self.checker = Checker(policy, execution)
        self.now = 0.0

    @property
    def running(self) -> RunBatch:
        """The batch at work."""
        assert self.checker.running is not None
        return self.checker.running

    def tell(self, event: Event) -> None:
        self.scheduler.handle(event, self.now)
        self.checker.see_event(event)
        self._check_answers()

    def act(self) -> list[Action]:
        """Everything that is to be done until the next event."""
        everything: list[Action] = []
        while actions := self.act_once():
            everything += actions
        return everything

    def act_once(self) -> list[Action]:
        """One list of what is to be done; jobs may arrive before the next."""
        actions = self.scheduler.next_actions(self.now)
        self.checker.see_actions(actions, self.now)
        self._check_answers()
        return actions

    def arrive(
        self,
        job_id: JobId,
        num_steps: int = 2,
        *,
        skipped: frozenset[Stage] = frozenset(),
        is_suspect: bool = False,
        priority: Priority = Priority.INTERACTIVE,
        deadline: float = math.inf,
        is_low: bool = False,
    ) -> None:
        self.tell(JobArrived(job_id, num_steps, skipped, is_suspect, priority, deadline, is_low))

    def finish(self, num_steps: int = 1) -> list[Action]:
        """The running batch ends well after so many of its steps; what follows from it."""
        self.now += 1
        self.tell(BatchFinished(self.running.batch_id, num_steps))
        return self.act()

    def fail(self, failure: JobFailure = FAULT) -> list[Action]:
        """The running batch raises; what follows from it."""
        self.now += 1
        self.tell(BatchFailed(self.running.batch_id, failure, is_out_of_memory=failure is OUT_OF_MEMORY))
        return self.act()

    def lose(self, job_id: JobId) -> None:
        self.tell(LeaseLost(job_id))

    def cancel(self, job_id: JobId) -> None:
        self.tell(CancelRequested(job_id))

    def drain(self) -> list[Action]:
        self.tell(DrainRequested())
        return self.act()

    def finish_all(self) -> list[Action]:
        """Every batch from now on ends well, until nothing is left."""
        actions = self.act()
        while self.checker.running is not None:
            actions += self.finish()
        require(self.scheduler.is_idle and self.checker.num_left == self.checker.num_arrived, "a job was left behind")
        return actions

    def _check_answers(self) -> None:
        require(self.scheduler.is_idle == (not self.checker.jobs), "is_idle is wrong")
        require(self.scheduler.free_slots() == self.checker.free_slots, "free_slots is wrong")
        require(self.scheduler.next_wakeup() == self.checker.next_wakeup, "next_wakeup is wrong")
