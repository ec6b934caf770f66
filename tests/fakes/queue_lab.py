"""The real functions in a real server under a clock of ours, and a checker of every index."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import redis

from service.adapters.queue_functions import functions_source, version_of
from tests.fakes.queue_archive_books import check_histories, check_lists
from tests.fakes.queue_batch_books import check_batches
from tests.fakes.queue_hook_books import check_hooks

PREFIX = "{xmdpt}:"
LEASE_MS = 15_000
ASIDE_MS = 5_000
STALL_MS = 30_000
RETENTION_MS = 3_600_000
RECORD_KEPT_MS = 7 * 86_400_000
DEADLINE_MS = 86_400_000
COST = 4
MAX_DELIVERIES = 5
MAX_FAILURES = 3
RETRY_DELAY_MS = 1_000
FEEDING_MS = 3_000
HOOK_LEASE_MS = 60_000

# Whoever comes after the lab puts the real ones in their place.
_OLDEST = (f"local VERSION = {version_of(functions_source())}", "local VERSION = 0")
_CLOCK = "local time = redis.call('TIME')"
_TEST_CLOCK = f"local ms = redis.call('GET', '{PREFIX}now') local time = {{math.floor(ms / 1000), ms % 1000 * 1000}}"
_EVENT_ID = "'events', '*'"
# As the server numbers them: never back, also where its clock is.
_TEST_EVENT_ID = f"'events', text(math.max(now, redis.call('GET', '{PREFIX}latest'))) .. '-*'"

WAITING = {"queued", "delayed"}
ENDED = {"succeeded", "failed", "cancelled"}
END_EVENTS = {f"job.{state}" for state in ENDED}
# The last thing that the outbox says of a job in this state.
LAST_EVENTS = {
    "queued": {"job.queued", "job.requeued"},
    "delayed": {"job.retrying"},
    "running": {"job.started"},
    "cancelling": {"job.cancelling"},
    "succeeded": {"job.succeeded", "job.expired"},
    "failed": {"job.failed", "job.expired"},
    "cancelled": {"job.cancelled", "job.expired"},
}


def job_id(number: int) -> str:
    return f"job_{number:032x}"


def a_hook(*events: str, host: str = "receiver") -> str:
    """As a job's record has it; all ends of a job if no events are named."""
    return json.dumps({"url": f"https://{host}/", "host": host, "events": events or sorted(END_EVENTS)})


def message_id(number: int, change: int) -> str:
    """Of a delivery."""
    return f"msg_{number:032x}_{change}"


class QueueLab:
    """One method a function, raw arguments and verdicts; `check` after each call."""

    def __init__(self, client: redis.Redis, replaced: str = "", by: str = "") -> None:
        """A mutant is the library with one text replaced."""
        source = functions_source()
        for old, new in (_OLDEST, (_CLOCK, _TEST_CLOCK), (_EVENT_ID, _TEST_EVENT_ID), (replaced, by)):
            if old:
                assert source.count(old) == 1, f"{old!r} is not in the library once"
                source = source.replace(old, new)
        self.client: Any = client
        self.last_claim = 0
        self._told: dict[str, dict[str, str]] = {}
        client.flushall()
        client.function_load(source, replace=True)
        self.now = self._latest = int(client.time()[0]) * 1000
        self.advance(0)
        self.reap()  # The first reap of a queue forgives; tests begin after it.

    def advance(self, ms: int) -> None:
        self.now += ms
        self._latest = max(self._latest, self.now)
        self.client.mset({f"{PREFIX}now": self.now, f"{PREFIX}latest": self._latest})

    def call(self, function: str, *arguments: str | int) -> Any:
        return self.client.fcall(function, 1, PREFIX, *arguments)

    def enqueue(self, number: int, **fields: Any) -> str:
        return self.enqueue_answer(number, **fields)[0]

    def enqueue_many(self, numbers: Iterable[int], **fields: Any) -> None:
        """Many at once, with the server's work and not the line's as the measure."""
        calls = self.client.pipeline(transaction=False)
        for number in numbers:
            calls.fcall("q1_enqueue", 1, PREFIX, *self._arguments(number, **fields))
        assert {verdict for verdict, _ in calls.execute()} == {"ok"}

    def enqueue_answer(self, number: int, **fields: Any) -> list[str]:
        """The verdict, and the job that stands for the call."""
        return self.call("q1_enqueue", *self._arguments(number, **fields))

    @staticmethod
    def _arguments(
        number: int,
        *,
        max_live: int = 100,
        tenant: str = "t",
        priority: str = "interactive",
        rows: int = 1,
        cost: int = COST,
        deadline_ms: int = DEADLINE_MS,
        key: str = "",
        fingerprint: str = "",
        forecast_ms: int = 0,
        max_tenant_live: int = 10_000,
        hook: str = "",
        item: tuple[str, int] = ("", 0),
    ) -> tuple[str | int, ...]:
        """Of an enqueue.

        A key is the digest of a client's, a hook is made by `a_hook`, an item is a batch and the place in it.
        """
        whose = (rows, cost, tenant, priority, deadline_ms)
        kept = (f"request {number}", RETENTION_MS, key, fingerprint, forecast_ms)
        return (job_id(number), *whose, *kept, max_live, max_tenant_live, hook, *item, f"item-{item[1]}")

    def cancel(self, number: int, tenant: str = "t") -> str:
        return self.call("q1_cancel", job_id(number), tenant)

    def erase(self, number: int, tenant: str = "t") -> str:
        return self.call("q1_erase", job_id(number), tenant)

    def history(self, number: int, after: int | str = 0, tenant: str = "t") -> dict[int, dict[str, str]]:
        """The changes after that one, by their numbers."""
        answer = self.call("q1_history", job_id(number), tenant, after)
        changes = answer[4] if answer else []
        return {int(entry.partition("-")[2]): dict(zip(then[::2], then[1::2], strict=True)) for entry, then in changes}

    def page(
        self, tenant: str = "t", status: str = "", before: str = "", limit: int = 100, batch: str = ""
    ) -> tuple[list[int], str]:
        """The jobs, and where the next page begins."""
        next_before, found = self.call("q1_list", tenant, status, batch, before, limit)
        return [int(name[4:], 16) for name, *_ in found], next_before

    def open_batch(self, name: str, total: int, **fields: Any) -> list[str]:
        """The verdict, and what stands for the call."""
        bounds = {
            "tenant": "t",
            "key": "",
            "fingerprint": "",
            "max_open": 10,
            "max_kept": 10_000,
            "max_tenant_open": 10,
            "hook": "",
        } | fields
        whose = (
            name,
            bounds["tenant"],
            total,
            COST * total,
            bounds.get("deadline_ms", DEADLINE_MS),
            RETENTION_MS,
            "{}",
        )
        kept = (
            bounds["key"],
            bounds["fingerprint"],
            bounds["max_open"],
            bounds["max_tenant_open"],
            bounds["hook"],
            bounds["max_kept"],
        )
        return self.call("q1_batch_open", *whose, *kept)

    def turns(
        self, feeder: str = "f", max_live: int = 100, max_tenant_live: int = 100, code: str = ""
    ) -> dict[str, tuple[Any, ...]]:
        """By batch: cursor, items left, room, why no more are wanted."""
        found = self.call("q1_batch_feed", feeder, FEEDING_MS, max_live, max_tenant_live, code)
        return {name: (cursor, left, room, cause) for name, _, cursor, left, room, cause, *_ in found}

    def skip(self, name: str, index: int, *states: str) -> str:
        """End the items from that place on as these states."""
        told = [text for i, state in enumerate(states, index) for text in (state, f"item-{i}", COST, "why")]
        return self.call("q1_batch_skip", name, index, *told)

    def batch(self, name: str, tenant: str = "t") -> dict[str, str]:
        """Its fields, and how many of its jobs are running."""
        answer = self.call("q1_batch_read", name, tenant)
        fields = answer[0] if answer else []
        return dict(zip(fields[::2], fields[1::2], strict=True)) | ({"running": str(answer[1])} if answer else {})

    def cancel_batch(self, name: str, tenant: str = "t") -> str:
        return self.call("q1_batch_cancel", name, tenant)

    def ends(self, name: str, after: int = 0, limit: int = 100, tenant: str = "t") -> list[str]:
        """The entries, without the jobs' ids."""
        answer = self.call("q1_batch_results", name, tenant, after, limit)
        return [" ".join(entry.split(" ")[:2]) for entry, _ in answer[1]] if answer else []

    def ahead(self, number: int) -> tuple[int, int]:
        """Jobs and row-steps before it."""
        _, position, work = self.call("q1_read", job_id(number))
        return position, work

    def stats(self) -> dict[str, Any]:
        return json.loads(self.call("q1_stats"))

    def figures(self) -> dict[str, Any]:
        return json.loads(self.call("q1_figures"))

    def claim(
        self, worker: str = "w", claim_number: int = 0, free: int = 8, running: int = 0, code: str = ""
    ) -> dict[int, int]:
        """The fences by job; a fresh claim number unless one is given."""
        answer = self.claim_answer(worker, claim_number, free, running, code)
        return {int(job["id"][4:], 16): job["fence"] for job in answer["jobs"]}

    def claim_answer(
        self, worker: str = "w", claim_number: int = 0, free: int = 8, running: int = 0, code: str = ""
    ) -> dict[str, Any]:
        self.last_claim = claim_number or self.last_claim + 1
        return json.loads(self.call("q1_claim", worker, self.last_claim, free, running, LEASE_MS, code, ASIDE_MS))

    def heartbeat(self, number: int, fence: int, step: int, stage: str = "tdnet_step") -> str:
        return self.heartbeats((number, fence, stage, step))[0]

    def heartbeats(self, *reports: tuple[int, int, str, int]) -> list[str]:
        """One call for several jobs: number, fence, stage, step."""
        arguments = [argument for number, *report in reports for argument in (job_id(number), *report)]
        return self.call("q1_heartbeat", LEASE_MS, STALL_MS, MAX_DELIVERIES, *arguments)

    def finish(self, number: int, fence: int, outcome: str = "succeeded") -> str:
        arguments = ("{}", "") if outcome in ("succeeded", "cancelled") else ("backend_error", "broken")
        limits = (MAX_FAILURES, RETRY_DELAY_MS, MAX_DELIVERIES)
        return self.call("q1_finish", job_id(number), fence, outcome, *arguments, *limits)[0]

    def release(self, number: int, fence: int, *pause_ms_and_code: int | str) -> str:
        return self.call("q1_release", job_id(number), fence, *pause_ms_and_code)[0]

    def reap(self, *deleted: str, limit: int = 200) -> list[Any]:
        self._listen()  # before it trims
        return self.call("q1_reap", limit, LEASE_MS, MAX_DELIVERIES, *deleted)

    def lapse(self, ms: int = LEASE_MS) -> None:
        """Let time pass as it does with a living gateway, so that no reap takes it for an outage."""
        while ms > 0:
            self.advance(min(ms, LEASE_MS // 3))
            self.reap()
            ms -= LEASE_MS // 3

    def plan(self, limit: int = 10_000) -> int:
        return self.call("q1_hook_plan", limit)

    def claim_hooks(self, limit: int = 100) -> dict[str, int]:
        """The fences by delivery."""
        return {message_id: fence for message_id, fence, *_ in self.claim_hooks_answer(limit)}

    def claim_hooks_answer(self, limit: int = 100) -> list[list[Any]]:
        return self.call("q1_hook_claim", limit, HOOK_LEASE_MS)

    def end_hook(self, message_id: str, fence: int, outcome: str = "ended", delay_ms: int = 0) -> str:
        return self.call("q1_hook_done", message_id, fence, outcome, delay_ms)

    def record(self, number: int) -> dict[str, str]:
        return self.client.hgetall(f"{PREFIX}job:{job_id(number)}")

    def state(self, number: int) -> str:
        return self.record(number).get("state", "absent")

    def events(self, number: int) -> list[str]:
        self._listen()
        return [event["type"] for event in self._told.values() if event.get("job") == job_id(number)]

    def zset(self, name: str) -> dict[str, float]:
        return dict(self.client.zrange(f"{PREFIX}{name}", 0, -1, withscores=True))

    def snapshot(self) -> dict[str, Any]:
        """Everything stored but what only counts reaps."""
        readers = {
            "hash": self.client.hgetall,
            "zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
            "set": self.client.smembers,
            "list": lambda key: self.client.lrange(key, 0, -1),
            "stream": self.client.xrange,
            "string": self.client.get,
        }
        keys = sorted(self.client.scan_iter(f"{PREFIX}*"))
        return {key: readers[self.client.type(key)](key) for key in keys if not key.endswith("reaped_at")}

    def check(self) -> None:
        """Every job is in exactly the indexes of its state, nothing else is, and sums and outbox agree."""
        jobs = {
            key.removeprefix(f"{PREFIX}job:"): self.client.hgetall(key)
            for key in self.client.scan_iter(f"{PREFIX}job:*")
        }
        self._check_indexes(jobs)
        self._check_sums(jobs)
        self._check_events(jobs)
        check_lists(self.client, PREFIX, jobs)
        check_histories(self.client, PREFIX, jobs)
        check_batches(self.client, PREFIX, jobs)
        check_hooks(self.client, PREFIX, jobs)

    def _check_indexes(self, jobs: dict[str, dict[str, str]]) -> None:
        expected: dict[str, set[str]] = {}
        alone = {}
        for name, job in jobs.items():
            expected.setdefault(_index_of(job), set()).add(name)
            if job["state"] not in ENDED:
                expected.setdefault("deadlines", set()).add(name)
            if job.get("error_code") == "attempts_exhausted":
                expected.setdefault("dead", set()).add(name)
            if job["state"] == "running" and job["suspect"] == "1":
                alone[job["owner"]] = name
        lines = [key.removeprefix(PREFIX) for key in self.client.scan_iter(f"{PREFIX}ready:*")]
        names = (*lines, "suspects", "delayed", "leases", "deadlines", "gc", "dead")
        found = {name: self.zset(name) for name in names}
        assert {name: set(index) for name, index in found.items() if index} == expected
        for line in (*lines, "suspects"):
            assert found[line] == {name: float(jobs[name]["seq"]) for name in found[line]}
        for name, at_ms in found["deadlines"].items():
            assert at_ms == float(jobs[name]["deadline_ms"]) or jobs[name].get("cancel")
        for priority in ("interactive", "batch"):
            of_class = [line.split(":", 2)[2] for line in lines if line.startswith(f"ready:{priority}:")]
            assert sorted(self.zset(f"tenants:{priority}")) == sorted(of_class)
            assert not set(of_class) & set(self.zset(f"rested:{priority}"))
        assert self.client.hgetall(f"{PREFIX}alone") == alone

    def _check_sums(self, jobs: dict[str, dict[str, str]]) -> None:
        sums: Counter[str] = Counter()
        for job in jobs.values():
            if job["state"] in ENDED:
                continue
            kind = "cost:running" if job["state"] == "running" else f"cost:queued:{job['class']}"
            sums += Counter({"*": 1, f"tenant:{job['tenant']}": 1, kind: int(job["cost"])})
        found = {name: int(number) for name, number in self.client.hgetall(f"{PREFIX}live").items()}
        assert {name: number for name, number in found.items() if number} == sums
        assert all(number or not name.startswith("tenant:") for name, number in found.items()), "a tenant is forgotten"
        stats, states = self.stats(), Counter(job["state"] for job in jobs.values())
        assert (stats["queued"], stats["running"]) == (states["queued"] + states["delayed"], states["running"])
        assert stats["queued_cost"] == {name: sums[f"cost:queued:{name}"] for name in ("interactive", "batch")}
        assert stats["running_cost"] == sums["cost:running"]

    def _check_events(self, jobs: dict[str, dict[str, str]]) -> None:
        self._listen()
        for name, job in jobs.items():
            kinds = [event["type"] for event in self._told.values() if event.get("job") == name]
            assert kinds, "no event"
            # An earlier job of this number may have been erased.
            kinds = kinds[len(kinds) - 1 - kinds[::-1].index("job.queued") :]
            is_cancelling = job["state"] == "running" and job.get("cancel") == "client"
            state = "cancelling" if is_cancelling else job["state"]
            last_events = LAST_EVENTS[state]
            if "not_for" in job and state in WAITING:
                # Only the first pause of a job that was set aside is told.
                last_events = set().union(*(LAST_EVENTS[waiting] for waiting in WAITING))
            assert kinds[-1] in last_events, f"{state} after {kinds}"
            assert sum(kind in END_EVENTS for kind in kinds) == (job["state"] in ENDED)

    def _listen(self) -> None:
        self._told.update(self.client.xrange(f"{PREFIX}events"))


def _index_of(job: dict[str, str]) -> str:
    """The one index in which a job of this state stands."""
    line = "suspects" if job["suspect"] == "1" else f"ready:{job['class']}:{job['tenant']}"
    return {"queued": line, "delayed": "delayed", "running": "leases"}.get(job["state"], "gc")
