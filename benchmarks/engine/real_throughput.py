"""B14: pictures a second of queue and worker on a real network, against a bare loop over the same ONNX sessions.

Both make every vector: no two jobs share a picture. The sides take turns; the idle one has nothing to do.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.engine.client import Client, client_of
from benchmarks.engine.deployment import deployed
from benchmarks.engine.traffic import submission
from benchmarks.engine.vector_reuse import REAL, VARIANT
from benchmarks.figures import Figure, Target, ratios
from benchmarks.turns import Report
from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.domain.job import DEFAULT_TENANT
from service.domain.request import DEFAULT_STEPS
from service.gateway.submission import Submission
from service.settings import load_settings
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import IMAGE_SIZE, VARIANTS

_MIN_SHARE = Target(0.97, "at least")


@dataclass(frozen=True)
class _Effort:
    """How much is run: jobs a round, their steps, rounds."""

    num_jobs: int
    num_steps: int
    num_rounds: int


_FULL = _Effort(num_jobs=8, num_steps=DEFAULT_STEPS, num_rounds=9)
_QUICK = _Effort(num_jobs=2, num_steps=2, num_rounds=1)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    backend = OnnxBackend(open_model_repository(load_settings().model_repository))
    service: list[float] = []
    bare: list[float] = []

    async def rounds() -> None:
        async with client_of(deployment, VARIANT) as client:
            # The first round only warms up.
            for number in range(effort.num_rounds + 1):
                jobs = _submissions(effort, number)
                service.append(await _through_the_service(client, jobs))
                bare.append(_in_a_bare_loop(backend, jobs))
                report(f"{effort.num_jobs} jobs: service {service[-1]:.2f} s, bare loop {bare[-1]:.2f} s")

    with deployed(REAL) as deployment:
        deployment.start_worker()
        asyncio.run(rounds())
    name = f"{effort.num_steps} steps, demo"
    return [
        Figure(f"service / bare loop, pictures a second, {name}", ratios(bare[1:], service[1:]), target=_MIN_SHARE),
        Figure(f"service, {name}, a picture", [seconds / effort.num_jobs for seconds in service[1:]], "s"),
        Figure(f"bare loop, {name}, a picture", [seconds / effort.num_jobs for seconds in bare[1:]], "s"),
    ]


def _submissions(effort: _Effort, number: int) -> list[Submission]:
    """Of a round; persons and poses are new ones."""
    first = number * effort.num_jobs
    # Its person's pose is the next number's picture.
    return [submission(each, effort.num_steps, person=2 * each) for each in range(first, first + effort.num_jobs)]


async def _through_the_service(client: Client, jobs: Sequence[Submission]) -> float:
    """Seconds from the first submission to the last job's end, by the queue's clock."""
    submitted = [await client.jobs.submit(job, DEFAULT_TENANT) for job in jobs]
    await client.wait_until_empty()
    ended = [(await client.read(each.job_id)).job for each in submitted]
    return max(job.ended_at or 0.0 for job in ended) - min(job.created_at for job in ended)


def _in_a_bare_loop(backend: OnnxBackend, jobs: Sequence[Submission]) -> float:
    started = time.monotonic()
    for job in jobs:
        photo, skeleton = (
            np.frombuffer(pixels, np.uint8).reshape(1, IMAGE_SIZE, IMAGE_SIZE, 3)
            for pixels in (job.photo, job.skeleton)
        )
        condition = backend.condition(backend.encode_source(photo), backend.encode_pose(skeleton))
        plan = sampling_plan(
            job.options.num_steps, job.options.guidance, job.options.sampler.value, VARIANTS[VARIANT].prediction
        )
        latents = initial_noise(job.options.seed or 0)[None]
        denoised = np.zeros_like(latents)
        for timestep, guidance, row in zip(plan.timesteps, plan.guidance, plan.coefficients, strict=True):
            numbers = timestep[None, None], guidance[None, None], row[None]
            latents, denoised = backend.denoise_step(latents, denoised, condition, *numbers)
        backend.decode(latents)
    return time.monotonic() - started
