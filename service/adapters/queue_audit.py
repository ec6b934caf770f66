"""The auditor: what each job says of itself against the indexes that it is in, and the sums over all jobs.

It changes nothing, and no call of it holds up the queue: each looks at a few jobs, as one snapshot.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.adapters.error_mapping import queue_errors
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect_async
from service.ports.audit import InvariantKind

_Findings = defaultdict[InvariantKind, set[str]]

# One call takes 2 ms of the server's time.
_JOBS_PER_CALL = 100
# Live jobs are all looked at in each round. Of the ended ones, which are kept for a week, so many calls' worth; the
# next round goes on where this one ends.
_MAX_CALLS = 100
_PARTS = ("jobs", "suspects", "delayed", "leases", "gc", "dead")
# What an entry in an index claims; all other indexes are lines, or lists of a tenant's jobs.
_CLAIMS: Mapping[str, InvariantKind] = {
    "leases": "lease",
    "delayed": "delay",
    "deadlines": "deadline",
    "gc": "final",
    "dead": "final",
}


@dataclass(frozen=True)
class _Facts:
    """A job's record, as far as it matters here, and the indexes that the job is in; no state: there is no record."""

    id: str
    indexes: Sequence[str]
    has_result: bool
    state: str
    tenant: str
    priority: str
    cost: int
    is_suspect: bool
    deadline_ms: int
    error_code: str
    is_erased: bool
    are_hooks_right: bool

    @property
    def is_live(self) -> bool:
        return self.state in ("queued", "delayed", "running")

    @property
    def expected_indexes(self) -> set[str]:
        """Where a job of this state has to be, and nowhere else."""
        if not self.state:
            return set()
        listed = set[str]() if self.is_erased else {f"listed:{self.tenant}"}
        return listed | self._expected_of_state

    @property
    def _expected_of_state(self) -> set[str]:
        if self.is_live:
            line = "suspects" if self.is_suspect else f"ready:{self.priority}:{self.tenant}"
            return {"deadlines", {"queued": line, "delayed": "delayed", "running": "leases"}[self.state]}
        return {"gc", "dead"} if self.error_code == "attempts_exhausted" else {"gc"}

    @property
    def sums(self) -> Mapping[str, int]:
        """What the job adds to the stored sums while it is live."""
        cost = "cost:running" if self.state == "running" else f"cost:queued:{self.priority}"
        return {"*": 1, f"tenant:{self.tenant}": 1, cost: self.cost}


class RedisQueueAuditor:
    """QueueAudit; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._prefix = keys.prefix
        # A worker that hangs keeps an unwanted job until that is noticed.
        self._grace_ms = round(1000 * (policy.stall_timeout_seconds + 2 * policy.lease_seconds))
        self._parts: list[str] = []
        self._cursor = "0"
        self._overdue: set[str] = set()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def audit(self) -> Mapping[InvariantKind, Sequence[str]]:
        """As the port says."""
        findings = _Findings(set)
        await self._audit_live(findings)
        await self._audit_parts(findings)
        # After an outage or a jump of the server's clock, running jobs get another lease: once is no finding.
        overdue = findings.pop("overdue", set())
        if overdue & self._overdue:
            findings["overdue"] = overdue & self._overdue
        self._overdue = overdue
        return {kind: sorted(ids) for kind, ids in findings.items() if ids}

    async def _audit_live(self, findings: _Findings) -> None:
        """All live jobs; the sums only if nothing has changed meanwhile, as each call is a snapshot of its own."""
        live: dict[str, _Facts] = {}
        changes: set[str] = set()
        cursor, answer = "", {}
        while cursor != "0":
            answer = await self._look("deadlines", cursor or "0", findings)
            cursor = answer["cursor"]
            changes.add(answer["change"])
            # A scan may name a job twice.
            live |= {job.id: job for job in answer["jobs"] if job.is_live}
        if len(changes) == 1:
            _compare_sums(live.values(), answer["sums"] or {}, findings)

    async def _audit_parts(self, findings: _Findings) -> None:
        """Everything else, as far as one round goes."""
        for _ in range(_MAX_CALLS):
            self._parts = self._parts or list(_PARTS)
            answer = await self._look(self._parts[0], self._cursor, findings)
            self._parts += [line for line in answer.get("lines") or () if line not in self._parts]
            self._cursor = answer["cursor"]
            if self._cursor == "0":
                del self._parts[0]
                if not self._parts:
                    return

    async def _look(self, part: str, cursor: str, findings: _Findings) -> dict[str, Any]:
        with queue_errors():
            text = await self._client.fcall("q1_audit", 1, self._prefix, part, cursor, _JOBS_PER_CALL)
        answer = json.loads(text)
        answer["jobs"] = [_facts(fields) for fields in answer["jobs"] or ()]
        for job in answer["jobs"]:
            for kind in _violations(job, answer["now_ms"] - self._grace_ms):
                findings[kind].add(job.id)
        findings["hook"].update(answer.get("stray_hooks") or ())
        if not answer["is_listed_rightly"]:
            findings["line"].add(part)
        return answer


def _facts(fields: Mapping[str, Any]) -> _Facts:
    return _Facts(
        id=fields["id"],
        # An empty Lua table has become an empty object.
        indexes=tuple(fields["indexes"] or ()),
        has_result=fields["has_result"],
        state=fields.get("state", ""),
        tenant=fields.get("tenant", ""),
        priority=fields.get("class", ""),
        cost=int(fields.get("cost", 0)),
        is_suspect=fields.get("suspect") == "1",
        deadline_ms=int(fields.get("deadline_ms", 0)),
        error_code=fields.get("error_code", ""),
        is_erased="erase" in fields,
        are_hooks_right=fields["are_hooks_right"],
    )


def _claim(index: str) -> InvariantKind:
    return "list" if index.startswith("listed:") else _CLAIMS.get(index, "line")


def _violations(job: _Facts, overdue_before_ms: int) -> set[InvariantKind]:
    kinds: set[InvariantKind] = {_claim(index) for index in job.expected_indexes ^ set(job.indexes)}
    if job.is_live and job.deadline_ms < overdue_before_ms:
        kinds.add("overdue")
    if job.state == "succeeded" and not job.has_result:
        kinds.add("result")
    if not job.are_hooks_right:
        kinds.add("hook")
    return kinds


def _compare_sums(live: Iterable[_Facts], stored: Mapping[str, int], findings: _Findings) -> None:
    sums: Counter[str] = Counter()
    for job in live:
        sums.update(job.sums)
    for name in sums.keys() | stored.keys():
        if sums[name] != stored.get(name, 0):
            findings["cost" if name.startswith("cost:") else "live"].add(name)
