"""The real functions in a real server under a clock of ours, and a checker of every index."""

import json
from typing import Any

import redis

from service.adapters.redis_server import functions_source, load_functions

PREFIX = "{xmdpt}:"
LEASE_MS = 15_000
STALL_MS = 30_000
RETENTION_MS = 3_600_000
RECORD_KEPT_MS = 7 * 86_400_000
MAX_DELIVERIES = 5
MAX_FAILURES = 3
RETRY_DELAY_MS = 1_000

_CLOCK = "local time = redis.call('TIME')"
_TEST_CLOCK = f"local ms = redis.call('GET', '{PREFIX}now') local time = {{math.floor(ms / 1000), ms % 1000 * 1000}}"
_EVENT_ID = "'events', '*'"
_TEST_EVENT_ID = "'events', text(now) .. '-*'"

ENDED = {"succeeded", "failed"}
# The last thing that the outbox says of a job in this state.
LAST_EVENTS = {
    "queued": {"job.queued", "job.requeued"},
    "delayed": {"job.retrying"},
    "running": {"job.started"},
    "succeeded": {"job.succeeded", "job.expired"},
    "failed": {"job.failed", "job.expired"},
}


def job_id(number: int) -> str:
    return f"job_{number:032x}"


class QueueLab:
    """One method a function, raw arguments and verdicts; `check` after each call."""

    def __init__(self, client: redis.Redis, replaced: str = "", by: str = "") -> None:
        """A mutant is the library with one text replaced."""
        source = functions_source()
        for old, new in ((_CLOCK, _TEST_CLOCK), (_EVENT_ID, _TEST_EVENT_ID), (replaced, by)):
            if old:
                assert source.count(old) == 1, f"{old!r} is not in the library once"
                source = source.replace(old, new)
        self.client: Any = client
        self.last_claim = 0
        self._told: dict[str, dict[str, str]] = {}
        client.flushall()
        load_functions(client, source)
        self.now = int(client.time()[0]) * 1000
        self.advance(0)
        self.reap()  # The first reap of a queue forgives; tests begin after it.

    def advance(self, ms: int) -> None:
        self.now += ms
        self.client.set(f"{PREFIX}now", self.now)

    def call(self, function: str, *arguments: str | int) -> Any:
        return self.client.fcall(function, 1, PREFIX, *arguments)

    def enqueue(self, number: int, max_live: int = 100) -> str:
        return self.call("q1_enqueue", job_id(number), 1, f"request {number}", max_live, RETENTION_MS)

    def claim(self, worker: str = "w", claim_number: int = 0, free: int = 8, running: int = 0) -> dict[int, int]:
        """The fences by job; a fresh claim number unless one is given."""
        answer = self.claim_answer(worker, claim_number, free, running)
        return {int(job["id"][4:], 16): job["fence"] for job in answer["jobs"]}

    def claim_answer(self, worker: str = "w", claim_number: int = 0, free: int = 8, running: int = 0) -> dict[str, Any]:
        self.last_claim = claim_number or self.last_claim + 1
        return json.loads(self.call("q1_claim", worker, self.last_claim, free, running, LEASE_MS))

    def heartbeat(self, number: int, fence: int, step: int, stage: str = "tdnet_step") -> str:
        return self.call("q1_heartbeat", LEASE_MS, STALL_MS, MAX_DELIVERIES, job_id(number), fence, stage, step)[0]

    def finish(self, number: int, fence: int, outcome: str = "succeeded") -> str:
        arguments = ("{}", "") if outcome == "succeeded" else ("backend_error", "broken")
        return self.call("q1_finish", job_id(number), fence, outcome, *arguments, MAX_FAILURES, RETRY_DELAY_MS)[0]

    def release(self, number: int, fence: int) -> str:
        return self.call("q1_release", job_id(number), fence)[0]

    def reap(self, *deleted: str, limit: int = 200) -> list[Any]:
        self._listen()  # before it trims
        return self.call("q1_reap", limit, LEASE_MS, MAX_DELIVERIES, *deleted)

    def lapse(self, ms: int = LEASE_MS) -> None:
        """Let time pass as it does with a living gateway, so that no reap takes it for an outage."""
        while ms > 0:
            self.advance(min(ms, LEASE_MS // 3))
            self.reap()
            ms -= LEASE_MS // 3

    def record(self, number: int) -> dict[str, str]:
        return self.client.hgetall(f"{PREFIX}job:{job_id(number)}")

    def state(self, number: int) -> str:
        return self.record(number).get("state", "absent")

    def events(self, number: int) -> list[str]:
        self._listen()
        return [event["type"] for event in self._told.values() if event["job"] == job_id(number)]

    def zset(self, name: str) -> dict[str, float]:
        return dict(self.client.zrange(f"{PREFIX}{name}", 0, -1, withscores=True))

    def snapshot(self) -> dict[str, Any]:
        """Everything stored but what only counts reaps."""
        readers = {
            "hash": self.client.hgetall,
            "zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
            "set": self.client.smembers,
            "stream": self.client.xrange,
            "string": self.client.get,
        }
        keys = sorted(self.client.scan_iter(f"{PREFIX}*"))
        return {key: readers[self.client.type(key)](key) for key in keys if not key.endswith("reaped_at")}

    def check(self) -> None:
        """Every job is in exactly the indexes of its state, nothing else is, and the outbox agrees."""
        jobs = {
            key.removeprefix(f"{PREFIX}job:"): self.client.hgetall(key)
            for key in self.client.scan_iter(f"{PREFIX}job:*")
        }
        expected = {index: set() for index in ("ready", "suspects", "delayed", "leases", "gc")}
        alone = {}
        for name, job in jobs.items():
            line = "suspects" if job["suspect"] == "1" else "ready"
            index = {"queued": line, "delayed": "delayed", "running": "leases"}.get(job["state"], "gc")
            expected[index].add(name)
            if job["state"] == "running" and job["suspect"] == "1":
                alone[job["owner"]] = name
        lines = {"ready": self.zset("ready:interactive:default"), "suspects": self.zset("suspects")}
        found = lines | {name: self.zset(name) for name in ("delayed", "leases", "gc")}
        assert {name: set(index) for name, index in found.items()} == expected
        for line in lines.values():
            assert line == {name: float(jobs[name]["seq"]) for name in line}
        assert self.client.hgetall(f"{PREFIX}alone") == alone
        num_live = sum(job["state"] not in ENDED for job in jobs.values())
        assert int(self.client.hget(f"{PREFIX}live", "*") or 0) == num_live
        queued, running, _ = self.call("q1_stats")
        assert (queued, running) == (num_live - len(expected["leases"]), len(expected["leases"]))
        self._check_events(jobs)

    def _check_events(self, jobs: dict[str, dict[str, str]]) -> None:
        self._listen()
        for name, job in jobs.items():
            kinds = [event["type"] for event in self._told.values() if event["job"] == name]
            assert kinds, "no event"
            assert kinds[-1] in LAST_EVENTS[job["state"]], f"{job['state']} after {kinds}"
            assert sum(kind in ("job.succeeded", "job.failed") for kind in kinds) == (job["state"] in ENDED)

    def _listen(self) -> None:
        self._told.update(self.client.xrange(f"{PREFIX}events"))
