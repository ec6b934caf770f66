"""What happened, in the past tense: everything the scheduler is ever told."""

import math
from dataclasses import dataclass

from service.domain.job import JobFailure, JobId, Priority
from service.domain.stage import Stage


@dataclass(frozen=True)
class JobArrived:
    """A job was claimed and its arrays are in the working set.

    A job of several pictures is to the scheduler a job for each, with ids of their own.

    Attributes:
        job_id: the job; a second arrival of a job in flight changes nothing.
        num_steps: denoising steps to make, >= 1.
        skipped: stages whose output is already at hand (a cache hit drops an ENCODE).
        is_suspect: it must never share a batch, because an earlier delivery ended with its worker.
        priority: its class.
        deadline: monotonic seconds; not ended by then, it leaves at the next step.
        is_low: its steps are computed in low precision, one by one in any execution; so is its picture, if it can be.
    """

    job_id: JobId
    num_steps: int
    skipped: frozenset[Stage] = frozenset()
    is_suspect: bool = False
    priority: Priority = Priority.INTERACTIVE
    deadline: float = math.inf
    is_low: bool = False


@dataclass(frozen=True)
class CancelRequested:
    """The queue says that nobody wants the job's picture any more: it leaves at the next step."""

    job_id: JobId


@dataclass(frozen=True)
class LeaseLost:
    """The queue says that the job is no longer ours: drop it without a word."""

    job_id: JobId


@dataclass(frozen=True)
class BatchFinished:
    """A batch's outputs are in the working set.

    Attributes:
        batch_id: which one.
        num_steps: how many of its steps were taken, 1 to the batch's own.
    """

    batch_id: int
    num_steps: int = 1


@dataclass(frozen=True)
class BatchFailed:
    """A batch raised; its rows stand where they stood before the step that did.

    Attributes:
        batch_id: which one.
        failure: why, as it would be told to the client.
        is_out_of_memory: a smaller batch may fit.
        is_device_gone: no batch could have run, so that this is no attempt of its jobs.
        num_steps: how many of its steps were taken before, 0 to one less than the batch's own.
    """

    batch_id: int
    failure: JobFailure
    is_out_of_memory: bool = False
    is_device_gone: bool = False
    num_steps: int = 0


@dataclass(frozen=True)
class DrainRequested:
    """Hand back every job as soon as it is in no running batch, and take no more."""


Event = JobArrived | CancelRequested | LeaseLost | BatchFinished | BatchFailed | DrainRequested
