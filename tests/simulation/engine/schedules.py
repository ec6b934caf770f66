"""Random lives of jobs on one device: they join, leave, are cancelled and lost between steps, with whatever parameters.

The scheduler, the working set and the executor are the service's; only the queue and the clock are missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from random import Random

import numpy as np

from service.domain.execution import Execution
from service.domain.job import Priority
from service.domain.stage import Stage
from service.engine.executor import Executor
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import U8, InferenceBackend
from service.scheduling.actions import Action, CancelJob, DropJob, EndJob, RunBatch
from service.scheduling.events import BatchFinished, CancelRequested, JobArrived, LeaseLost
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import VARIANTS

NUM_PICTURES = 3


@dataclass(frozen=True)
class Wish:
    """What one job asks for: numbers of its photo and its skeleton, and its parameters."""

    photo: int
    skeleton: int
    seed: int
    num_steps: int
    guidance: float
    sampler: str

    def prepared(self) -> PreparedJob:
        plan = sampling_plan(self.num_steps, self.guidance, self.sampler)
        pictures = {
            Stage.ENCODE_SOURCE: picture(self.photo),
            Stage.ENCODE_POSE: picture(NUM_PICTURES + self.skeleton),
        }
        return PreparedJob(pictures, initial_noise(self.seed), plan)


def picture(number: int) -> U8:
    """[256,256,3] uint8: smooth, and another one for each number."""
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    return np.repeat(np.repeat(coarse, 32, axis=0), 32, axis=1)


def a_wish(random: Random) -> Wish:
    return Wish(
        random.randrange(NUM_PICTURES),
        random.randrange(NUM_PICTURES),
        random.randrange(4),
        random.choice((2, 3, 5)),
        random.choice((1.0, 2.0)),
        random.choice(("ddim", "dpmpp_2m")),
    )


@dataclass
class Device:
    """One backend with its scheduler; `pictures` are those of the jobs that ended, by key."""

    backend: InferenceBackend
    policy: BatchPolicy
    execution: Execution = Execution.STEPWISE
    wishes: dict[str, Wish] = field(default_factory=dict)
    pictures: dict[str, U8] = field(default_factory=dict)
    steps: dict[str, list[int]] = field(default_factory=dict)
    num_left_early: int = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.policy, self.execution)
        self._set = WorkingSet(self.policy.max_slots, VARIANTS[self.backend.variant].width)

    @cached_property
    def _executor(self) -> Executor:
        return Executor(self.backend, self._set)

    def arrive(self, wish: Wish, priority: Priority = Priority.INTERACTIVE) -> None:
        key = f"job-{len(self.wishes)}"
        self.wishes[key], self.steps[key] = wish, []
        self._set.add(key, wish.prepared())
        self.scheduler.handle(JobArrived(key, wish.num_steps, priority=priority), 0.0)

    def turn(self, random: Random | None = None) -> bool:
        """Perform what is to be done once; jobs may leave while a batch runs. Returns whether there was anything."""
        actions = self.scheduler.next_actions(0.0)
        for action in actions:
            self._perform(action, random)
        return bool(actions)

    def _perform(self, action: Action, random: Random | None) -> None:
        match action:
            case RunBatch():
                if random and random.random() < 0.05:
                    event = random.choice((CancelRequested, LeaseLost))
                    self.scheduler.handle(event(random.choice(list(self.wishes))), 0.0)
                self._executor.run(action)
                for row in action.rows:
                    if action.stage is Stage.DENOISE:
                        self.steps[row.job_id].append(row.step_index)
                self.scheduler.handle(BatchFinished(action.batch_id), 0.0)
            case EndJob(job_id, None):
                self.pictures[job_id] = self._vacate(job_id)
            case CancelJob(job_id) | DropJob(job_id):
                self._vacate(job_id)
                self.num_left_early += 1
            case _:
                raise AssertionError(action)

    def _vacate(self, key: str) -> U8:
        slot = self._set.slot(key)
        left = self._set.remove(key)
        # Whoever read a slot that is nobody's would not be finite.
        for rows in (self._set.latents, self._set.previous_denoised, self._set.condition):
            rows[slot] = np.nan
        return left if left is not None else np.zeros(0, np.uint8)


def run_random_schedule(random: Random, backends: Mapping[Execution, InferenceBackend], most_rows: int) -> Device:
    """A few jobs that come at random moments to a device with a random policy; it ends empty."""
    max_batch = random.randint(1, most_rows)
    policy = BatchPolicy(
        max_batch, max_batch + random.randrange(3), is_shortest_first=max_batch == 1 and random.random() < 0.5
    )
    execution = Execution.WHOLE_LOOP if random.random() < 0.2 else Execution.STEPWISE
    device = Device(backends[execution], policy, execution)
    num_waiting = random.randint(3, 8)
    while num_waiting or not device.scheduler.is_idle:
        while num_waiting and device.scheduler.free_slots() and random.random() < 0.6:
            device.arrive(a_wish(random), random.choice(list(Priority)))
            num_waiting -= 1
        device.turn(random)
    return device


def alone(wish: Wish, backend: InferenceBackend, execution: Execution = Execution.STEPWISE) -> U8:
    """The picture of a job that has the device for itself."""
    device = Device(backend, BatchPolicy(1, 1), execution)
    device.arrive(wish)
    while device.turn():
        pass
    return device.pictures["job-0"]
