"""One run: start everything, send load and faults at it, let it come to rest, and gather the history.

It judges nothing; `tests.chaos.checker` does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.adapters.queue_audit import RedisQueueAuditor
from service.adapters.task_end import end_task
from tests.chaos.auditing import Auditing
from tests.chaos.clients import Clients
from tests.chaos.cluster import Cluster
from tests.chaos.diary import read_diary
from tests.chaos.faults import fault_plan
from tests.chaos.history import History, Limits, Order
from tests.chaos.injector import Injector
from tests.chaos.inspector import Inspector
from tests.chaos.sizes import Sizes
from tests.chaos.stream import EventStream, read_all
from tests.chaos.wishes import Traffic, wishes

# So many clients wait at most: beyond, the load waits too, or a slow computer would only ever fall behind.
_MAX_CLIENTS = 120
_CALM_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_PROGRESS_SECONDS = 1.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What a run does.

    Attributes:
        seconds: of load under faults; some calm seconds of load follow.
        seed: of faults and wishes.
        server: one of `tests.chaos.cluster.SERVERS`.
        settle_seconds: that are left to the last job once faults and load are over.
    """

    seconds: float
    seed: int
    server: str
    traffic: Traffic = field(default_factory=Traffic)
    sizes: Sizes = field(default_factory=Sizes)
    settle_seconds: float = 90.0

    @property
    def limits(self) -> Limits:
        """What the rules measure against."""
        return self.sizes.limits(self.settle_seconds)


async def run_chaos(options: Options, folder: Path, report: Report = lambda _: None) -> History:
    """Do the run in an empty folder, which keeps logs and diaries.

    Raises:
        BrokenRunError: something could not be started.
    """
    async with (
        Cluster(folder, options.server, options.sizes) as cluster,
        _watching(cluster, options.sizes) as (stream, inspector, auditing),
    ):
        clients = Clients(cluster.address, stream, options.seed)
        injector = Injector(cluster, stream, options.seed)
        started = time.time()
        orders: list[Order] = []
        progress = asyncio.create_task(_tell(report, cluster, stream, injector, orders, started))
        faults = asyncio.create_task(injector.run(fault_plan(options.seed, options.seconds)))
        load = asyncio.create_task(_send_load(options, clients, faults, orders))
        # Who tells the progress raises what has gone wrong behind the scenes.
        await asyncio.wait({faults, progress}, return_when=asyncio.FIRST_COMPLETED)
        cluster.check()
        await faults
        faults_ended = time.time()
        await load
        report("coming to rest")
        await _rest(stream, inspector, options.settle_seconds)
        progress.cancel()
        await clients.aclose()
        await auditing.finish()
        # Jobs expire and pictures are deleted as long as the service runs: what is read while it does would not agree.
        await cluster.stop_service()
        cluster.check()
        history = await _gather(options.limits, cluster, inspector, started, faults_ended)
    return replace(
        history,
        leftovers=replace(history.leftovers, audit=tuple(sorted(auditing.complaints))),
        orders=orders,
        seen_events=stream.events,
        inspections=inspector.inspections,
        faults=injector.done,
        exits=[ended for part in cluster.parts for ended in part.exits],
    )


@asynccontextmanager
async def _watching(cluster: Cluster, sizes: Sizes) -> AsyncIterator[tuple[EventStream, Inspector, Auditing]]:
    """Stream, inspector and auditor at work, each with a client of its own."""
    async with cluster.client() as first, cluster.client() as second:
        stream = EventStream(first, cluster.keys.events)
        inspector = Inspector(second, cluster.keys, cluster.blobs)
        auditor = RedisQueueAuditor(cluster.queue_url, cluster.keys, sizes.policy)
        auditing = Auditing(auditor)
        work = (stream.run(), inspector.run(stream.succeeded), auditing.run())
        tasks = [asyncio.create_task(coroutine) for coroutine in work]
        try:
            yield stream, inspector, auditing
        finally:
            for task in tasks:
                await end_task(task)
            await auditor.aclose()
        for task in tasks:
            if not task.cancelled():
                task.result()


async def _send_load(options: Options, clients: Clients, faults: asyncio.Task[None], orders: list[Order]) -> None:
    """One client after the other until the faults are over and some calm seconds more; all have left at the end."""
    at_work: set[asyncio.Task[None]] = set()
    calm_until = None
    for pause, wish in wishes(options.seed, options.traffic):
        if faults.done():
            calm_until = calm_until or time.monotonic() + _CALM_SECONDS
            if time.monotonic() > calm_until:
                break
        await asyncio.sleep(pause)
        while len(at_work) >= _MAX_CLIENTS:
            await asyncio.wait(at_work, return_when=asyncio.FIRST_COMPLETED)
        order = Order(wish)
        orders.append(order)
        task = asyncio.create_task(clients.serve(order))
        at_work.add(task)
        task.add_done_callback(at_work.discard)
    await asyncio.gather(*at_work)


async def _rest(stream: EventStream, inspector: Inspector, seconds: float) -> None:
    """Wait until every job has ended and every result was inspected, or until the time is over."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if not stream.num_living() and not stream.succeeded.qsize():
            break
        await asyncio.sleep(_LOOK_SECONDS)
    # The last delivery's tidying up, and what the stream still has for us.
    await asyncio.sleep(_PROGRESS_SECONDS)
    await stream.succeeded.join()


async def _gather(
    limits: Limits, cluster: Cluster, inspector: Inspector, started: float, faults_ended: float
) -> History:
    async with cluster.client() as client:
        return History(
            limits=limits,
            leftovers=await inspector.leftovers(),
            started=started,
            faults_ended=faults_ended,
            events=await read_all(client, cluster.keys.events),
            records=await inspector.records(),
            deeds=read_diary(cluster.diary),
        )


async def _tell(
    report: Report, cluster: Cluster, stream: EventStream, injector: Injector, orders: list[Order], started: float
) -> None:
    while True:
        cluster.check()
        report(
            f"{time.time() - started:6.0f} s  {len(orders)} orders, {stream.num_living()} jobs alive, "
            f"{len(injector.done)} faults"
        )
        await asyncio.sleep(_PROGRESS_SECONDS)
