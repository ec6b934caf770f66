"""The three sides of one queue as the service opens them, on an empty server with its functions."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
import redis

from service.adapters import change_watch, redis_leases, redis_server
from service.adapters.queue_functions import load_functions
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_intake import RedisJobIntake
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_leases import RedisJobLeases
from service.adapters.redis_server import CALL_TIMEOUT_SECONDS, CONNECT_TIMEOUT_SECONDS, connect
from service.adapters.redis_upkeep import RedisJobUpkeep
from service.ports.queue import Enqueued
from tests.unit.builders import a_job_id, a_new_job

LEASE_SECONDS = 1.0
# Waits in a row: a waiter that only polled, which tests make rare, would take so long for each.
ROUNDS = 5
POLL_SECONDS = 10
FASTER_THAN_POLLING_SECONDS = 0.8 * ROUNDS * POLL_SECONDS
POLICY = QueuePolicy(lease_seconds=LEASE_SECONDS, stall_timeout_seconds=30, max_live=50, retry_delay_seconds=0.01)
_options = redis_server._options


@dataclass
class Queue:
    """What gateway, worker and upkeep hold; `worker` opens one more worker."""

    url: str
    policy: QueuePolicy
    intake: RedisJobIntake
    upkeep: RedisJobUpkeep
    leases: RedisJobLeases
    client: redis.Redis
    workers: list[RedisJobLeases] = field(default_factory=list)

    def worker(self, url: str = "", name: str = "") -> RedisJobLeases:
        leases = RedisJobLeases(url or self.url, RedisKeys(), self.policy, name)
        self.workers.append(leases)
        return leases

    async def submit(self, *numbers: int) -> None:
        for number in numbers:
            assert await self.intake.enqueue(a_new_job(number)) == Enqueued("ok", a_job_id(number))

    async def waiter(self, number: int) -> asyncio.Task:
        """A task that waits for the job's end, and has begun to."""
        task = asyncio.create_task(self.intake.wait_for_end(a_job_id(number), 20))
        async with asyncio.timeout(20):
            while a_job_id(number) not in self.intake.watch._waiters:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.001)
        return task

    async def reap_until(self, condition: Callable[[list[str]], object]) -> list[str]:
        """Reap as a living gateway does, until the condition holds for all names so far."""
        named: list[str] = []
        give_up_at = time.monotonic() + 20
        while not condition(named):
            assert time.monotonic() < give_up_at, "it never happened"
            named += await self.upkeep.reap(named)
        return named


def let_calls_take_their_time(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """So many times what the service gives each call of the server, by whoever connects from now on.

    A starved process takes longer than a caller of the service may wait.
    """

    def longer(seconds: float) -> dict[str, Any]:
        # A heartbeat's time may be bounded by what is set below, and is long then.
        return _options(max(seconds, times * min(seconds, CALL_TIMEOUT_SECONDS)))

    monkeypatch.setattr(redis_server, "_options", longer)
    monkeypatch.setattr(redis_server, "CONNECT_TIMEOUT_SECONDS", times * CONNECT_TIMEOUT_SECONDS)
    for module in (redis_server, change_watch, redis_leases):
        monkeypatch.setattr(module, "CALL_TIMEOUT_SECONDS", times * CALL_TIMEOUT_SECONDS)


@asynccontextmanager
async def open_queue(url: str, policy: QueuePolicy = POLICY, heartbeat_of_lease: float = 60) -> AsyncIterator[Queue]:
    """Empty the server, load the functions, and close everything in the end.

    Unless told otherwise a heartbeat is answered in time if any call is: leases here are so short that a busy computer
    would miss the part of them in which it should be.
    """
    with connect(url) as client, patch.object(redis_leases, "_HEARTBEAT_OF_LEASE", heartbeat_of_lease):
        client.flushall()
        load_functions(client)
        keys = RedisKeys()
        intake, upkeep = RedisJobIntake(url, keys, policy), RedisJobUpkeep(url, keys, policy)
        queue = Queue(url, policy, intake, upkeep, RedisJobLeases(url, keys, policy), client)
        try:
            yield queue
        finally:
            for leases in (queue.leases, *queue.workers):
                leases.close()
            await intake.aclose()
            await upkeep.aclose()
