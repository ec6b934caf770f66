"""Those who use the queue: gateways, workers that die, hang, pause or drain, upkeep, and a clock that jumps."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.fakes.queue_lab import COST, LEASE_MS, MAX_DELIVERIES, STALL_MS, a_hook
from tests.simulation.queue.world import Actor, World

MAX_LIVE = 60
MAX_TENANT_LIVE = 25
_TENANTS = ("a", "b", "c")
_DEADLINES_MS = (4_000, 30_000, *4 * (24 * 3_600_000,))
_NUM_SLOTS = 4
_POISON = 40  # Every so many jobs, one that kills its worker.
_HOUR_MS = 3_600_000
_HOOKS = ((), (), ("job.succeeded", "job.failed", "job.cancelled"), ("job.started", "job.succeeded", "job.cancelled"))
_NUM_RECEIVERS = 3


def is_poison(number: int) -> bool:
    return number % _POISON == 0


def gateway(world: World) -> Actor:
    """Submits, submits again, and cancels, until nothing new comes."""
    while not world.is_calm:
        yield world.random.randrange(4_500)
        if world.owners and world.random.random() < 0.25:
            yield from (_cancel(world) if world.random.random() < 0.8 else _erase(world))
        else:
            yield from _submit(world)


def _submit(world: World) -> Actor:
    tenant = world.random.choice(_TENANTS)
    world.owners.append(tenant)
    number = len(world.owners)
    # So few keys that many are used again, for the same content or for another one.
    key = f"key {world.random.randrange(number)}" if world.random.random() < 0.5 else ""
    asked = {
        "tenant": tenant,
        "key": key,
        "fingerprint": world.random.choice(("same", "same", "same", "other")),
        "deadline_ms": world.random.choice(_DEADLINES_MS),
    }
    rest = {
        "priority": world.random.choice(("interactive", "interactive", "batch")),
        "rows": world.random.choice((1, 1, 2)),
        "cost": COST * world.random.randrange(1, 20),
        "max_live": MAX_LIVE,
        "max_tenant_live": MAX_TENANT_LIVE,
    }
    hook = world.random.choice(_HOOKS)
    if hook:
        rest["hook"] = a_hook(*hook, host=f"host {number % _NUM_RECEIVERS}")
    if is_poison(number):
        world.note("poison", number)
    answer = yield from world.ask(partial(world.lab.enqueue_answer, number, **asked, **rest))
    world.note("submit", number, **asked, hook=hook, verdict=answer[0], answered_id=answer[1])


def _cancel(world: World) -> Actor:
    num_jobs = len(world.owners)
    number = world.random.randrange(max(0, num_jobs - MAX_LIVE), num_jobs) + 1
    tenant = world.owners[number - 1] if world.random.random() < 0.9 else world.random.choice(_TENANTS)

    def seen(verdict: str) -> None:
        world.note("cancel", number, tenant=tenant, verdict=verdict)

    yield from world.ask(partial(world.lab.cancel, number, tenant), seen)


def _erase(world: World) -> Actor:
    """A job whose client was answered: before that, nobody knows its id."""
    accepted = [entry for entry in world.history.of("submit")[-MAX_LIVE:] if entry.verdict == "ok"]
    if not accepted:
        return
    submit = world.random.choice(accepted)
    tenant = submit.tenant if world.random.random() < 0.9 else world.random.choice(_TENANTS)
    number = int(submit.job[4:], 16)

    def seen(verdict: str) -> None:
        world.note("erase", number, tenant=tenant, verdict=verdict)

    yield from world.ask(partial(world.lab.erase, number, tenant), seen)


def upkeep(world: World) -> Actor:
    """Reaps fifteen times a lease; what it was told to delete, it says that it has deleted."""
    deleted: list[str] = []
    while True:
        yield LEASE_MS // 15 + world.random.randrange(200)
        world.listen()
        arguments = ("q1_reap", 20, LEASE_MS, MAX_DELIVERIES, *deleted)
        answer = yield from world.ask(partial(world.lab.call, *arguments))
        deleted = answer[4]
        world.deleted.update(deleted)


def dispatcher(world: World) -> Actor:
    """Plans, claims and tells; now and then it dies before the queue knows what came of that."""
    while True:
        yield world.random.randrange(3_000)
        yield from world.ask(partial(world.lab.plan, world.random.randrange(1, 40)))
        # What a lost answer gave is given again later, so the claim is not repeated as such.
        given = yield from world.ask(partial(world.lab.claim_hooks, world.random.randrange(1, 8)))
        for message in given:
            number, change = _change_of(message)
            world.note("tell", number, change=change)
        for message, fence in given.items():
            yield world.random.randrange(200)
            if world.happens(0.05):
                break
            outcome = world.random.choices(("ended", "retry", "disabled"), (30, 10, 0 if world.is_calm else 1))[0]
            yield from _settle(world, message, fence, outcome)


def _settle(world: World, message: str, fence: int, outcome: str) -> Actor:
    number, change = _change_of(message)

    def seen(verdict: str) -> None:
        world.note("settle", number, change=change, verdict=verdict)

    delay_ms = world.random.randrange(20_000)
    yield from world.ask(partial(world.lab.end_hook, message, fence, outcome, delay_ms), seen)


def _change_of(message: str) -> tuple[int, int]:
    """Number of the job, and of its change."""
    _, job, change = message.split("_")
    return int(job, 16), int(change)


def clock(world: World) -> Actor:
    """Outages, in which time passes and nobody acts, and jumps of the server's clock."""
    while True:
        yield world.random.randrange(20, 120) * 1_000
        world.listen()  # Much that is in the outbox will be old.
        if world.happens(0.5):
            world.pass_time(world.random.randrange(LEASE_MS // 2, 4 * LEASE_MS))
        elif world.happens(0.5):
            world.set_clock(world.random.choice((-_HOUR_MS, _HOUR_MS)))
        world.disturbed_at_ms = world.elapsed_ms


@dataclass
class _Delivery:
    number: int
    fence: int
    num_steps: int
    step: int = 0
    is_unwanted: bool = False


class _Worker:
    """One incarnation; its jobs by number."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name
        self._jobs: dict[int, _Delivery] = {}
        self._claim_number = 0
        self._hangs_until_ms = 0

    def life(self) -> Actor:
        world = self._world
        while not world.happens(0.01):
            yield world.random.randrange(2_500)
            if world.happens(0.03):
                yield from self._pause()
            if world.happens(0.01):
                self._hangs_until_ms = world.elapsed_ms + 2 * STALL_MS
            duties = [self._work, self._heartbeat, self._claim]
            world.random.shuffle(duties)
            for duty in duties:
                yield from duty()
            if world.happens(0.02):
                yield from self._drain()
                return
            if any(is_poison(delivery.number) and delivery.step for delivery in self._jobs.values()):
                return

    def _pause(self) -> Actor:
        """Long enough to be a zombie that believes to have done its work."""
        yield self._world.random.randrange(LEASE_MS, 4 * LEASE_MS)
        for delivery in self._jobs.values():
            delivery.step = delivery.num_steps

    def _claim(self) -> Actor:
        world, num_free = self._world, _NUM_SLOTS - len(self._jobs)
        self._claim_number += 1
        call = partial(world.lab.claim_answer, self._name, self._claim_number, num_free, len(self._jobs))
        noted: set[int] = set()

        def seen(answer: dict[str, Any]) -> None:
            for job in answer["jobs"]:
                if job["fence"] not in noted:
                    noted.add(job["fence"])
                    world.note("claim", int(job["id"][4:], 16), fence=job["fence"], worker=self._name)

        answer = yield from world.ask(call, seen)
        for job in answer["jobs"]:
            number = int(job["id"][4:], 16)
            self._jobs[number] = _Delivery(number, job["fence"], world.random.randrange(1, 12))

    def _heartbeat(self) -> Actor:
        if not self._jobs or self._world.random.random() < 0.5:
            return
        world, deliveries = self._world, list(self._jobs.values())
        reports = [(delivery.number, delivery.fence, "tdnet_step", delivery.step) for delivery in deliveries]

        def seen(verdicts: list[str]) -> None:
            for delivery, verdict in zip(deliveries, verdicts, strict=True):
                world.note("lost" if verdict == "lost" else "hold", delivery.number, fence=delivery.fence)

        verdicts = yield from world.ask(partial(world.lab.heartbeats, *reports), seen)
        for delivery, verdict in zip(deliveries, verdicts, strict=True):
            delivery.is_unwanted |= verdict == "cancel"
            if verdict == "lost":
                del self._jobs[delivery.number]

    def _work(self) -> Actor:
        if self._world.elapsed_ms < self._hangs_until_ms and not self._world.is_calm:
            return
        for delivery in list(self._jobs.values()):
            delivery.step += 1
            if delivery.is_unwanted:
                yield from self._finish(delivery, "cancelled")
            elif delivery.step >= delivery.num_steps and not is_poison(delivery.number):
                outcome = self._world.random.choices(("succeeded", "retry", "failed"), (12, 6, 1))[0]
                yield from self._finish(delivery, outcome)

    def _finish(self, delivery: _Delivery, outcome: str) -> Actor:
        world = self._world
        world.note("end", delivery.number, fence=delivery.fence)
        seen = partial(self._note_end, "finish", delivery)
        yield from world.ask(partial(world.lab.finish, delivery.number, delivery.fence, outcome), seen)
        del self._jobs[delivery.number]

    def _drain(self) -> Actor:
        world = self._world
        for delivery in self._jobs.values():
            world.note("end", delivery.number, fence=delivery.fence)
            seen = partial(self._note_end, "release", delivery)
            yield from world.ask(partial(world.lab.release, delivery.number, delivery.fence), seen)

    def _note_end(self, kind: str, delivery: _Delivery, verdict: str) -> None:
        self._world.note(kind, delivery.number, fence=delivery.fence, verdict=verdict)


def worker(world: World, slot: int) -> Actor:
    """One worker after the other; some know that they follow another one, which has ended."""
    incarnation, name = 0, f"worker {slot}"
    while True:
        incarnation += 1
        yield from _Worker(world, f"{name}:{incarnation}").life()
        yield world.random.randrange(10_000)
        if slot % 2:
            for claim in world.history.of("claim"):
                if claim.worker == f"{name}:{incarnation}":
                    world.note("bury", int(claim.job[4:], 16), fence=claim.fence)
            yield from world.ask(partial(world.lab.call, "q1_bury", name, MAX_DELIVERIES, LEASE_MS, 0))
