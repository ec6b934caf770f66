"""The checker is worth something: each planted bug breaks an invariant within a few walks."""

import math
from dataclasses import replace
from itertools import product
from unittest.mock import patch

import pytest

from service.domain.execution import Execution
from service.domain.job import JobId, Priority
from service.domain.stage import Stage
from service.scheduling import policy
from service.scheduling.actions import Action, CancelJob, EndJob, Row, RunBatch
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
from tests.simulation.checker import BrokenInvariantError
from tests.simulation.walk import random_moves, random_policy, walk


class OverTheLimit(Scheduler):
    """Takes one row more than fits."""

    def __init__(self, policy: BatchPolicy, execution: Execution, **others: bool) -> None:
        super().__init__(replace(policy, max_batch=policy.max_batch + 1), execution, **others)


class MoreSlots(Scheduler):
    """Claims one job more than there are slots."""

    def __init__(self, policy: BatchPolicy, execution: Execution, **others: bool) -> None:
        super().__init__(replace(policy, max_slots=policy.max_slots + 1), execution, **others)


class OneAttemptMore(Scheduler):
    """Lets a job fail once too often."""

    def __init__(self, policy: BatchPolicy, execution: Execution, **others: bool) -> None:
        super().__init__(replace(policy, max_attempts=policy.max_attempts + 1), execution, **others)


class SkipsAStep(Scheduler):
    """Counts a finished step twice."""

    def _finish(self, batch: RunBatch, num_steps: int) -> None:
        super()._finish(batch, num_steps)
        for row in batch.rows:
            job = self._jobs[row.job_id]
            if 4 <= job.position < len(job.table) - 1:
                job.advance(batch.batch_id)


class MixesStepCounts(Scheduler):
    """Takes whole loops for equal, however many steps they have."""

    def _arrive(self, event: JobArrived) -> None:
        super()._arrive(event)
        self._jobs[event.job_id].num_steps = 1


class EndsTwice(Scheduler):
    """Repeats the end of a job one call later."""

    _again: Action | None = None

    def next_actions(self, now: float) -> list[Action]:
        actions = super().next_actions(now)
        if self._again is not None:
            actions.append(self._again)
        self._again = next((action for action in actions if isinstance(action, EndJob)), None)
        return actions


class TwoAtATime(Scheduler):
    """Forgets the running batch when a job arrives."""

    def handle(self, event: Event, now: float) -> None:
        super().handle(event, now)
        if isinstance(event, JobArrived):
            self._running = None


class TwoStages(Scheduler):
    """Puts every job that it has into one batch."""

    def _form_batch(self) -> RunBatch:
        batch = super()._form_batch()
        others = [job for job in self._jobs.values() if job.job_id not in {row.job_id for row in batch.rows}]
        room = self._limits[batch.stage] - len(batch.rows)
        return replace(batch, rows=batch.rows + tuple(Row(job.job_id, job.step_index) for job in others[:room]))


class _RewritesEvents(Scheduler):
    def _rewrite(self, event: Event) -> Event | None:
        raise NotImplementedError

    def handle(self, event: Event, now: float) -> None:
        changed = self._rewrite(event)
        if changed is not None:
            super().handle(changed, now)


class ForgetsSuspicion(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return replace(event, is_suspect=False) if isinstance(event, JobArrived) else event


class IgnoresLoss(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return None if isinstance(event, LeaseLost) else event


class IgnoresDrain(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return None if isinstance(event, DrainRequested) else event


class IgnoresCancels(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return None if isinstance(event, CancelRequested) else event


class TakesCancelsForLosses(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return LeaseLost(event.job_id) if isinstance(event, CancelRequested) else event


class ForgetsPriorities(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return replace(event, priority=Priority.INTERACTIVE) if isinstance(event, JobArrived) else event


class CountsTheDevicesFaults(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return replace(event, is_device_gone=False) if isinstance(event, BatchFailed) else event


class TakesMemoryForAFault(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return replace(event, is_out_of_memory=False) if isinstance(event, BatchFailed) else event


class TakesFailureForProgress(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return BatchFinished(event.batch_id, event.num_steps + 1) if isinstance(event, BatchFailed) else event


class ForgetsStepsBeforeAFailure(_RewritesEvents):
    def _rewrite(self, event: Event) -> Event | None:
        return replace(event, num_steps=0) if isinstance(event, BatchFailed) else event


class BlamesCompany(Scheduler):
    """Counts a shared failure against each job."""

    def _fail(self, batch: RunBatch, event: BatchFailed) -> None:
        for row in batch.rows:
            super()._fail(replace(batch, rows=(row,)), event)


class EndsTheCancelled(Scheduler):
    """A cancel comes too late once the picture or the failure is there."""

    def _cancel(self, job_id: JobId) -> None:
        self._exits.setdefault(job_id, CancelJob(job_id))


class CancelsTheLost(Scheduler):
    """Tells the queue of a job that is another's by now."""

    def _cancel(self, job_id: JobId) -> None:
        self._exits[job_id] = CancelJob(job_id)


class IgnoresDeadlines(Scheduler):
    """Wakes for them, and then lets the job go on."""

    def next_actions(self, now: float) -> list[Action]:
        return super().next_actions(-math.inf)


class NeverWakes(Scheduler):
    """Notices a deadline only when something else happens."""

    def next_wakeup(self) -> float | None:
        return None


class WakesForTheLeaving(Scheduler):
    """Wakes again and again for a deadline that it has noticed, while the job's batch runs."""

    def next_wakeup(self) -> float | None:
        return min((job.deadline for job in self._jobs.values() if job.deadline < math.inf), default=None)


class ReservesNothing(Scheduler):
    """Lets the class BATCH wait for as long as there are others."""

    def _form_batch(self) -> RunBatch:
        with patch.object(policy, "BATCH_CLASS_LAG", 10**6):
            return super()._form_batch()


class NeverAges(Scheduler):
    """The shortest goes first, however long the others have waited."""

    def _form_batch(self) -> RunBatch:
        with patch.object(policy, "PATIENCE", dict.fromkeys(Priority, 10**6)):
            return super()._form_batch()


class TakesTurns(Scheduler):
    """Rotates where the shortest should go first."""

    def __init__(self, policy: BatchPolicy, execution: Execution, **others: bool) -> None:
        super().__init__(replace(policy, is_shortest_first=False), execution, **others)


class ServesTheNewest(Scheduler):
    """No rotation: who was served last is served first."""

    def _finish(self, batch: RunBatch, num_steps: int) -> None:
        super()._finish(batch, num_steps)
        for row in batch.rows:
            self._jobs[row.job_id].served = -batch.batch_id


class StepsOnBesideOthers(Scheduler):
    """Takes all steps of a batch at once, whoever waits."""

    def _form_batch(self) -> RunBatch:
        batch = super()._form_batch()
        left = min(self._jobs[row.job_id].num_steps_left for row in batch.rows)
        return replace(batch, num_steps=left if batch.stage is Stage.DENOISE else 1)


class CountsOneStepOfMany(Scheduler):
    """Takes the steps of a batch for one."""

    def _finish(self, batch: RunBatch, num_steps: int) -> None:
        super()._finish(batch, 1)


class LetsDecodesWait(Scheduler):
    """Steps while it can, whatever is ready to decode."""

    def _form_batch(self) -> RunBatch:
        everything = self._jobs
        self._jobs = {
            key: job for key, job in everything.items() if not job.is_started or job.position < 4
        } or everything
        batch = super()._form_batch()
        self._jobs = everything
        return batch


class DecodesAtOnce(Scheduler):
    """No decode of the class BATCH waits for another."""

    def _form_batch(self) -> RunBatch:
        with patch.object(policy, "DECODES_TOGETHER", 1):
            return super()._form_batch()


class LetsLowPrecisionWait(Scheduler):
    """Takes steps and loops of float32 while there are any."""

    def _form_batch(self) -> RunBatch:
        everything = self._jobs
        self._jobs = {key: job for key, job in everything.items() if job.stage is not Stage.DENOISE_LOW} or everything
        batch = super()._form_batch()
        self._jobs = everything
        return batch


class MixesPrecisions(Scheduler):
    """Takes a step for a step."""

    def _arrive(self, event: JobArrived) -> None:
        super()._arrive(replace(event, is_low=False))


class MixesDecoders(Scheduler):
    """Takes a decode for a decode."""

    def __init__(self, policy: BatchPolicy, execution: Execution, **_others: bool) -> None:
        super().__init__(policy, execution)


class LetsLowDecodesWait(Scheduler):
    """Decodes float32 first, and then steps, before it decodes in low precision."""

    def _form_batch(self) -> RunBatch:
        everything = self._jobs
        self._jobs = {key: job for key, job in everything.items() if job.stage is not Stage.DECODE_LOW} or everything
        batch = super()._form_batch()
        self._jobs = everything
        return batch


MUTANTS = [
    LetsLowPrecisionWait,
    LetsLowDecodesWait,
    MixesPrecisions,
    MixesDecoders,
    OverTheLimit,
    MoreSlots,
    OneAttemptMore,
    EndsTwice,
    TwoAtATime,
    TwoStages,
    ForgetsSuspicion,
    IgnoresLoss,
    IgnoresDrain,
    IgnoresCancels,
    TakesCancelsForLosses,
    EndsTheCancelled,
    CancelsTheLost,
    IgnoresDeadlines,
    NeverWakes,
    WakesForTheLeaving,
    ForgetsPriorities,
    ReservesNothing,
    NeverAges,
    TakesTurns,
    CountsTheDevicesFaults,
    TakesMemoryForAFault,
    TakesFailureForProgress,
    BlamesCompany,
    ServesTheNewest,
    LetsDecodesWait,
]


@pytest.mark.parametrize(
    ("mutant", "execution"),
    [
        *product(MUTANTS, Execution),
        (DecodesAtOnce, Execution.STEPWISE),
        (SkipsAStep, Execution.STEPWISE),
        (StepsOnBesideOthers, Execution.STEPWISE),
        (CountsOneStepOfMany, Execution.STEPWISE),
        (ForgetsStepsBeforeAFailure, Execution.STEPWISE),
        (MixesStepCounts, Execution.WHOLE_LOOP),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value,
)
def test_checker_when_a_bug_is_planted_then_it_complains(mutant: type[Scheduler], execution: Execution) -> None:
    def walk_twenty_times() -> None:
        for seed in range(20):
            walk(random_policy(seed), random_moves(seed, 1000), execution, mutant)

    with pytest.raises(BrokenInvariantError):
        walk_twenty_times()
