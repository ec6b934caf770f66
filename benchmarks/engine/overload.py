"""B18: a service of small bounds under ten times the load that it can carry, over HTTP, on one worker."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np

from benchmarks.engine.batch_beside import DEVICE
from benchmarks.engine.deployment import Deployment, deployed
from benchmarks.engine.http_load import Call
from benchmarks.engine.json_calls import job_call, upload
from benchmarks.engine.open_load import Connections, Reply
from benchmarks.engine.outbox import FINAL, Change, changes
from benchmarks.figures import BrokenRunError, Figure, Target
from benchmarks.policies.stream import NUM_ROWS
from benchmarks.turns import Report

# As many again wait as are at work.
_MAX_LIVE = 2 * NUM_ROWS
_FACTOR = 10
_NUM_SOURCES = 8
_REFUSALS = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
_MAX_REFUSAL_MS, _MIN_GOODPUT, _NONE = Target(50, "at most"), Target(0.9, "at least"), Target(0, "at most")


@dataclass(frozen=True)
class _Effort:
    """How long each part lasts, seconds, and its first part that does not count."""

    capacity_seconds: float
    overload_seconds: float
    warm_up_seconds: float
    num_steps: int


_FULL = _Effort(capacity_seconds=30, overload_seconds=60, warm_up_seconds=5, num_steps=100)
_QUICK = _Effort(capacity_seconds=3, overload_seconds=3, warm_up_seconds=1, num_steps=100)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    bounds = {"QUEUE__MAX_LIVE": str(_MAX_LIVE), "QUEUE__MAX_LIVE_PER_TENANT": str(_MAX_LIVE)}
    with deployed(DEVICE | bounds) as deployment:
        deployment.start_worker()
        gateway = deployment.start_gateway()
        load = _Load(Connections(gateway.port), upload(gateway.port, _NUM_SOURCES), effort)
        return asyncio.run(_measure(deployment, load, effort, report))


async def _measure(deployment: Deployment, load: "_Load", effort: _Effort, report: Report) -> list[Figure]:
    async with aclosing(load):
        began = time.time()
        accepted = await load.saturate()
        capacity = _rate_of_ends(deployment, began + effort.warm_up_seconds, began + effort.capacity_seconds)
        report(f"capacity {capacity:.2f} jobs a second; offering {_FACTOR * capacity:.0f}")
        began = time.time()
        replies = await load.offer(_FACTOR * capacity)
        goodput = _rate_of_ends(deployment, began + effort.warm_up_seconds, began + effort.overload_seconds)
        accepted += [reply.content["id"] for reply in replies if reply.status == HTTPStatus.ACCEPTED]
        await load.wait_for(accepted)
    refusals = [1000 * reply.seconds for reply in replies if reply.status in _REFUSALS]
    if not refusals:
        raise BrokenRunError(f"nothing was refused: {Counter(reply.status for reply in replies)}")
    num_ends = Counter(each.job_id for each in _ends(deployment))
    wrong = sum(num_ends[job] != 1 for job in num_ends.keys() | set(accepted))
    others = [reply for reply in replies if reply.status not in (*_REFUSALS, HTTPStatus.ACCEPTED)]
    return [
        Figure("p99 of a refusal", [float(np.quantile(refusals, 0.99))], "ms", _MAX_REFUSAL_MS),
        Figure("jobs that end, under ten times too much / at capacity", [goodput / capacity], target=_MIN_GOODPUT),
        Figure("accepted jobs that did not end once", [wrong], target=_NONE),
        Figure("answers that neither accept nor refuse", [len(others)], target=_NONE),
        Figure("jobs accepted", [len(accepted)]),
        Figure("calls offered a second", [_FACTOR * capacity]),
        Figure(
            "a refusal, quantiles from 5 % to 95 %", np.quantile(refusals, np.linspace(0.05, 0.95, 19)).tolist(), "ms"
        ),
    ]


class _Load:
    """Asks for jobs; belongs to one event loop."""

    def __init__(self, connections: Connections, sources: Sequence[str], effort: _Effort) -> None:
        self._connections, self._sources, self._effort = connections, sources, effort
        self._num_calls = 0

    async def saturate(self) -> list[str]:
        """As many callers as the queue takes, each of whom waits for its job before it asks for the next; all jobs."""
        clock = asyncio.get_running_loop().time
        until, jobs = clock() + self._effort.capacity_seconds, list[str]()

        async def ask_again() -> None:
            while clock() < until:
                reply = await self._connections.send("POST", "/v1/jobs", self._next_call())
                if reply.status != HTTPStatus.ACCEPTED:
                    raise BrokenRunError(f"POST /v1/jobs: {reply.status} {reply.content}")
                jobs.append(reply.content["id"])
                await self.wait_for(jobs[-1:])

        await asyncio.gather(*(ask_again() for _ in range(_MAX_LIVE)))
        return jobs

    async def offer(self, rate: float) -> Sequence[Reply]:
        calls = [self._next_call() for _ in range(int(rate * self._effort.overload_seconds))]
        return await self._connections.offer("/v1/jobs", calls, rate)

    async def wait_for(self, jobs: Sequence[str]) -> None:
        """Return once all of them have ended."""
        for job in jobs:
            reply = await self._connections.send("GET", f"/v1/jobs/{job}", Call({"Prefer": "wait=60"}, b""))
            if reply.status != HTTPStatus.OK or reply.content["status"] != "succeeded":
                raise BrokenRunError(f"{job}: {reply.status} {reply.content}")

    async def aclose(self) -> None:
        self._connections.close()

    def _next_call(self) -> Call:
        self._num_calls += 1
        source = self._sources[self._num_calls % len(self._sources)]
        return job_call(source, self._num_calls, self._effort.num_steps)


def _ends(deployment: Deployment) -> list[Change]:
    return [change for change in changes(deployment) if change.kind in FINAL]


def _rate_of_ends(deployment: Deployment, begin: float, end: float) -> float:
    """Jobs that ended a second, from one moment to another; the queue's clock is this computer's."""
    return sum(begin <= each.at < end for each in _ends(deployment)) / (end - begin)
