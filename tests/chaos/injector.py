"""Does the planned faults to the processes of a cluster, each for as long as its kind allows, and notes its end.

When there is nobody to do it to, it waits: a worker that is just starting is no target, one at work is.
"""

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import Sequence

from tests.chaos.cluster import Cluster, Condition
from tests.chaos.diary import read_diary
from tests.chaos.faults import AT_COMMIT, KILLS, Fault, PlannedFault
from tests.chaos.history import DoneFault
from tests.chaos.poisoned_worker import COMMIT
from tests.chaos.processes import Part
from tests.chaos.stream import EventStream

_LOOK_SECONDS = 0.02
# A worker that meets no commit within this time has no work: the fault is given up.
_COMMIT_SECONDS = 8.0
_PATIENCE_SECONDS = 120.0
_STOP_SECONDS = 10.0
_SETTLED_SECONDS = 1.5
_MAX_LEASES = 6
# Mostly a restart at once; one in five outages is longer than a lease.
_LONG_OUTAGE_DOSE = 0.8


class Injector:
    """Faults of one run, several at a time where they hit different processes."""

    def __init__(self, cluster: Cluster, stream: EventStream, seed: int) -> None:
        """Nothing is done yet; the stream tells when a stopped worker's job runs elsewhere."""
        self._cluster, self._stream = cluster, stream
        self._rng = random.Random(f"injector {seed}")
        self._busy: set[str] = set()
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.done: list[DoneFault] = []

    async def run(self, faults: Sequence[PlannedFault]) -> None:
        """Do all of them, each at its time; returns when the last one is over."""
        started = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        for fault in faults:
            await asyncio.sleep(max(0.0, started + fault.at_seconds - time.monotonic()))
            tasks.append(asyncio.create_task(self._do(fault)))
        await asyncio.gather(*tasks)

    async def _do(self, fault: PlannedFault) -> None:
        match fault.kind:
            case Fault.KILL_QUEUE:
                await self._kill_queue(fault)
            case Fault.KILL_GATEWAY:
                await self._kill_gateway(fault)
            case _:
                await self._disturb_worker(fault)

    async def _kill_queue(self, fault: PlannedFault) -> None:
        """Away for up to half a second, or for one to two leases."""
        lease, dose = self._cluster.lease_seconds, fault.dose
        away = dose / 2 if dose < _LONG_OUTAGE_DOSE else lease * (1 + (dose - _LONG_OUTAGE_DOSE) * 5)
        await self._kill(fault.kind, self._cluster.queue, away, self._cluster.is_queue_answering)

    async def _kill_gateway(self, fault: PlannedFault) -> None:
        await self._kill(fault.kind, self._cluster.gateway, 0.0, self._cluster.is_gateway_ready)

    async def _kill(self, kind: Fault, part: Part, away_seconds: float, is_back: Condition) -> None:
        async with self._turns[part.name]:
            pid, at = part.pid, time.time()
            part.is_held = True
            part.send(signal.SIGKILL)
            await asyncio.sleep(away_seconds)
            part.is_held = False
            await self._cluster.wait_until(lambda: _has_new_process(part, pid), f"{part.name} is started again")
            await self._cluster.wait_until(is_back, f"{part.name} is back")
            self.done.append(DoneFault(kind, at, pid, time.time()))

    async def _disturb_worker(self, fault: PlannedFault) -> None:
        worker = await self._target()
        if worker is None:
            return
        self._busy.add(worker.name)
        try:
            pid, at = worker.pid, time.time()
            if fault.kind in AT_COMMIT and not await self._meet_commit(worker, fault.kind):
                return
            if fault.kind is Fault.STOP_AT_COMMIT:
                await self._wait_for_successor(pid)
                worker.send(signal.SIGCONT)
            elif fault.kind is Fault.STOP_WORKER:
                worker.send(signal.SIGSTOP)
                await asyncio.sleep(self._cluster.lease_seconds * (1.1 + 1.9 * fault.dose))
                worker.send(signal.SIGCONT)
            elif fault.kind in KILLS:
                worker.send(signal.SIGKILL)
                # Or the next fault would still take it for a living one.
                await self._has_ended(worker, pid)
            else:
                worker.send(signal.SIGTERM)
                if not await self._has_ended(worker, pid):
                    # As an orchestrator does; the rules find out whether it had a reason to hang.
                    await self._cluster.end_hung(worker)
            self.done.append(DoneFault(fault.kind, at, pid, time.time()))
        finally:
            self._busy.discard(worker.name)

    async def _target(self) -> Part | None:
        """A worker that has been at work for a while and that no other fault is busy with.

        Without that while, faults that wait would hit each worker in its first job, and the same job each time.
        """
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            ready = [w for w in self._cluster.workers if self._cluster.is_ready(w, _SETTLED_SECONDS)]
            free = [w for w in ready if w.name not in self._busy]
            if free:
                return self._rng.choice(free)
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _meet_commit(self, worker: Part, kind: Fault) -> bool:
        """Ask the worker to stop or kill itself at its next commit; False if it came to none."""
        pid = worker.pid
        worker.send(signal.SIGUSR1 if kind is Fault.STOP_AT_COMMIT else signal.SIGUSR2)
        give_up_at = time.monotonic() + _COMMIT_SECONDS
        while time.monotonic() < give_up_at:
            if not worker.is_running or worker.pid != pid:
                return kind is Fault.KILL_AT_COMMIT
            if worker.is_paused:
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        # It still has the order, and nobody would wake it: better that it ends.
        worker.send(signal.SIGKILL)
        await self._has_ended(worker, pid)
        self.done.append(DoneFault(Fault.KILL_WORKER, time.time(), pid, time.time()))
        return False

    async def _wait_for_successor(self, pid: int) -> None:
        """Until another worker runs the job of a stopped one: only then is its finish a danger, and not just late."""
        deeds = await asyncio.to_thread(read_diary, self._cluster.diary)
        commit = next(deed for deed in reversed(deeds) if deed.verb == COMMIT and deed.pid == pid)
        await self._stream.wait_for_start(commit.job_id, commit.at, _MAX_LEASES * self._cluster.lease_seconds)

    async def _has_ended(self, worker: Part, pid: int) -> bool:
        give_up_at = time.monotonic() + _STOP_SECONDS
        while worker.is_running and worker.pid == pid:
            if time.monotonic() > give_up_at:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True


async def _has_new_process(part: Part, old_pid: int) -> bool:
    return part.is_running and part.pid != old_pid
