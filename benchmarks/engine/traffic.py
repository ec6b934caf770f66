"""Jobs and how they are submitted: at the times of a stream of the virtual models, or as fast as the queue takes them.

Measures nothing.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from benchmarks.engine.client import Client, Ended
from benchmarks.policies.stream import NUM_STEPS
from service.domain.inputs import PICTURE_BYTES
from service.domain.job import DEFAULT_TENANT
from service.domain.request import OutputOptions, Sampler
from service.gateway.jobs import Submitted
from service.gateway.submission import JobOptions, Submission
from service.scheduling.rehearsal import RehearsedJob

_NUM_PERSONS = 8
_MAX_AT_ONCE = 8


@cache
def picture(number: int) -> bytes:
    """A picture of random pixels, the same for the same number; as a photo or a skeleton."""
    return np.random.default_rng(number).bytes(PICTURE_BYTES)


def submission(number: int, num_steps: int, person: int | None = None) -> Submission:
    """The job of a number: its seed, and its person and pose unless one is given for both."""
    person = number % _NUM_PERSONS if person is None else person
    return Submission(
        photo=picture(person),
        skeleton=picture(person + 1),
        options=JobOptions(
            model=None,
            seed=number,
            num_steps=num_steps,
            guidance=2.0,
            sampler=Sampler.DDIM,
            output=OutputOptions(),
        ),
    )


def mixed_steps(num_jobs: int) -> list[int]:
    """Steps of so many jobs, in equal parts as in the streams."""
    return np.random.default_rng(0).choice(NUM_STEPS, num_jobs).tolist()


async def offer(client: Client, stream: Sequence[RehearsedJob]) -> list[Ended]:
    """Submit each job when it is due, whatever became of those before, and wait for all; in order of arrival."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    tasks: list[asyncio.Task[Submitted]] = []
    async with asyncio.TaskGroup() as group:
        for job in stream:
            await asyncio.sleep(begin + job.arrival - loop.time())
            tasks.append(group.create_task(client.jobs.submit(submission(job.number, job.num_steps), DEFAULT_TENANT)))
    await client.wait_until_empty()
    return [await client.read(task.result().job_id, task.result().eta) for task in tasks]


async def fill(client: Client, num_steps: Sequence[int]) -> list[Submitted]:
    """Submit jobs of these steps as fast as the queue takes them."""
    numbered: Iterator[tuple[int, int]] = iter(enumerate(num_steps))
    submitted: list[Submitted] = []

    async def submit_rest() -> None:
        for number, steps in numbered:
            submitted.append(await client.jobs.submit(submission(number, steps), DEFAULT_TENANT))

    async with asyncio.TaskGroup() as group:
        for _ in range(_MAX_AT_ONCE):
            group.create_task(submit_rest())
    return submitted
