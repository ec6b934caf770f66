"""Random lives of jobs on one device: they join, leave, are cancelled and lost between steps, with whatever parameters.

The scheduler, the working set and the executor are the service's; only the queue and the clock are missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from random import Random

import numpy as np

from service.domain.execution import Execution
from service.domain.job import ClaimedJob, Priority
from service.domain.request import MAX_IMAGES, GenerationRequest, OutputOptions, Sampler, SamplingParams
from service.domain.stage import Stage
from service.engine.executor import Executor
from service.engine.flight import Flight
from service.engine.images import Images
from service.engine.intake import Arrival
from service.engine.vectors import Supply
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import U8, InferenceBackend
from service.scheduling.actions import Action, CancelJob, DropJob, EndJob, ReleaseJob, RunBatch
from service.scheduling.events import BatchFinished
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
    num_images: int = 1
    is_low: bool = False

    def arrival(self, number: int, priority: Priority) -> Arrival:
        params = SamplingParams(self.seed, self.num_steps, self.guidance, Sampler(self.sampler))
        request = GenerationRequest("tiny", params, OutputOptions(), "", "", num_images=self.num_images)
        job = ClaimedJob(f"job-{number}", 0, request, is_suspect=False, queue_seconds=0.0, priority=priority)
        return Arrival(Flight(job, 0.0), self._prepared(), Supply())

    def _prepared(self) -> PreparedJob:
        plan = sampling_plan(self.num_steps, self.guidance, self.sampler)
        pictures = {
            Stage.ENCODE_SOURCE: picture(self.photo),
            Stage.ENCODE_POSE: picture(NUM_PICTURES + self.skeleton),
        }
        noise = np.stack([initial_noise(self.seed + index) for index in range(self.num_images)])
        return PreparedJob(pictures, noise, plan, self.is_low)


@cache
def picture(number: int) -> U8:
    """[256,256,3] uint8: smooth, and another one for each number."""
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    return np.repeat(np.repeat(coarse, 32, axis=0), 32, axis=1)


def a_wish(random: Random, *, has_low: bool) -> Wish:
    return Wish(
        random.randrange(NUM_PICTURES),
        random.randrange(NUM_PICTURES),
        random.randrange(4),
        random.choice((2, 3, 5)),
        random.choice((1.0, 2.0)),
        random.choice(("ddim", "dpmpp_2m")),
        random.choice((1, 1, 1, 1, 1, 1, 2, 3, MAX_IMAGES)),
        has_low and random.random() < 0.3,
    )


@dataclass
class Device:
    """One backend with its scheduler; `pictures` are of jobs that ended well, `steps` of each picture."""

    backend: InferenceBackend
    policy: BatchPolicy
    execution: Execution = Execution.STEPWISE
    wishes: dict[str, Wish] = field(default_factory=dict)
    pictures: dict[str, Sequence[U8]] = field(default_factory=dict)
    steps: dict[str, list[int]] = field(default_factory=dict)
    num_left_early: int = 0
    num_claimed: int = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.policy, self.execution, has_low_decoder=self.backend.has_low_decoder)
        self._set = WorkingSet(max(self.policy.max_slots, MAX_IMAGES), VARIANTS[self.backend.variant].width)
        self._images = Images(self.scheduler, self._set)
        self._flights: list[Flight] = []

    @cached_property
    def _executor(self) -> Executor:
        return Executor(self.backend, self._set)

    @property
    def room(self) -> int:
        """Pictures that fit, as the intake counts them."""
        return self.scheduler.free_slots() + self._images.num_arrived - self.num_claimed

    def has_room_for(self, wish: Wish) -> bool:
        """As the queue has it: an empty device takes any job."""
        return self.scheduler.is_idle or self.room >= wish.num_images

    def arrive(self, wish: Wish, priority: Priority = Priority.INTERACTIVE) -> None:
        arrival = wish.arrival(len(self.wishes), priority)
        self.wishes[arrival.flight.key] = wish
        self.num_claimed += wish.num_images
        self._flights.append(arrival.flight)
        self._images.board(arrival, 0.0)

    def turn(self, random: Random | None = None) -> bool:
        """Perform what is to be done once; jobs may leave while a batch runs. Returns whether there was anything."""
        actions = self.scheduler.next_actions(0.0)
        for action in actions:
            self._perform(action, random)
        return bool(actions)

    def _perform(self, action: Action, random: Random | None) -> None:
        if not isinstance(action, RunBatch):
            self._vacate(action)
            return
        if random and random.random() < 0.05:
            end = random.choice((self._images.cancel, self._images.lose))
            end(random.choice(self._flights), 0.0)
        num_steps = random.randint(1, action.num_steps) if random else action.num_steps
        for step in range(num_steps):
            self._executor.run(action, step)
            for row in action.rows:
                if action.stage in (Stage.DENOISE, Stage.DENOISE_LOW):
                    self.steps.setdefault(row.job_id, []).append(row.step_index + step)
        self.scheduler.handle(BatchFinished(action.batch_id, num_steps), 0.0)
        self._images.follow(action, 0.0)

    def _vacate(self, action: EndJob | CancelJob | ReleaseJob | DropJob) -> None:
        slot = self._set.slot(action.job_id)
        departure = self._images.leave(action, 0.0)
        # Whoever read a slot that is nobody's would not be finite.
        for rows in (self._set.latents, self._set.previous_denoised, self._set.condition):
            rows[slot] = np.nan
        if not departure:
            return
        if isinstance(departure.how, EndJob):
            assert departure.how.failure is None
            self.pictures[departure.flight.key] = departure.pictures
        else:
            self.num_left_early += 1


def run_random_schedule(random: Random, backends: Mapping[Execution, InferenceBackend], most_rows: int) -> Device:
    """A few jobs that come at random moments to a device with a random policy; it ends empty."""
    max_batch = random.randint(1, most_rows)
    policy = BatchPolicy(
        max_batch,
        max_batch + random.randrange(3),
        is_shortest_first=random.random() < 0.4,
        max_low_batch=random.choice((None, 1)),
    )
    execution = Execution.WHOLE_LOOP if random.random() < 0.2 else Execution.STEPWISE
    device = Device(backends[execution], policy, execution)
    num_waiting, has_low = random.randint(3, 8), backends[execution].low_precision is not None
    wish = a_wish(random, has_low=has_low)
    while num_waiting or not device.scheduler.is_idle:
        while num_waiting and device.has_room_for(wish) and random.random() < 0.6:
            device.arrive(wish, random.choice(list(Priority)))
            wish = a_wish(random, has_low=has_low)
            num_waiting -= 1
        device.turn(random)
    assert device.room == policy.max_slots, "all slots are free again"
    return device


def alone(wish: Wish, backend: InferenceBackend, execution: Execution = Execution.STEPWISE) -> U8:
    """The picture of a job of one that has the device for itself."""
    device = Device(backend, BatchPolicy(1, 1), execution)
    device.arrive(wish)
    while device.turn():
        pass
    ((picture,),) = device.pictures.values()
    return picture
