"""What every actor did and was told, and what must be true of it; it knows no Lua and no index."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.fakes.queue_lab import LEASE_MS, MAX_DELIVERIES, MAX_FAILURES

ENDS = {"succeeded", "failed", "cancelled"}
REFUSED = {"already", "fenced", "gone"}
# How a job stands after an accepted finish.
STATE_AFTER = {"succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled", "expired": "failed"}

Records = Mapping[str, Mapping[str, str]]
Outbox = Mapping[str, list[str]]


@dataclass(frozen=True)
class Entry:
    """Something done and what was answered, also where the answer was lost; `server_ms` is the server's clock."""

    kind: str
    job: str
    at_ms: int
    server_ms: int
    fields: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.fields[name]


@dataclass
class History:
    entries: list[Entry] = field(default_factory=list)

    def note(self, kind: str, job: str, at_ms: int, server_ms: int, **fields: Any) -> None:
        self.entries.append(Entry(kind, job, at_ms, server_ms, fields))

    def of(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds]

    def by_job(self, *kinds: str) -> dict[str, list[Entry]]:
        jobs = defaultdict(list)
        for entry in self.of(*kinds):
            jobs[entry.job].append(entry)
        return jobs

    @property
    def erased(self) -> set[str]:
        return {entry.job for entry in self.of("erase") if entry.verdict != "notfound"}

    def check(self, outbox: Outbox, records: Records) -> None:
        """Raise AssertionError unless everything that is promised holds once all actors are at rest.

        Args:
            outbox: the events of each job, in their order.
            records: what is stored of each job.
        """
        self._check_erased(records)
        self._without_erased()._check_kept(_without_jobs(outbox, self.erased), records)

    def _check_erased(self, records: Records) -> None:
        owners = {entry.job: entry.tenant for entry in self.of("submit")}
        for entry in self.of("erase"):
            assert entry.verdict == "notfound" or entry.tenant == owners[entry.job], f"{entry} of another tenant's job"
        assert not self.erased & set(records), f"erased and still there: {self.erased & set(records)}"

    def _without_erased(self) -> "History":
        """Of what is forgotten, nothing more is promised; its key is free again."""
        erased = self.erased
        return History(
            [
                entry
                for entry in self.entries
                if entry.job not in erased and entry.fields.get("answered_id") not in erased
            ]
        )

    def _check_kept(self, outbox: Outbox, records: Records) -> None:
        self._check_accepted(records)
        _check_ends(outbox, records)
        self._check_verdicts(records)
        self._check_deliveries(outbox, records)
        self._check_fences()
        self._check_leases()
        self._check_keys()
        self._check_cancels(records)
        self._check_deadlines(records)
        self._check_poison(records)

    def _check_accepted(self, records: Records) -> None:
        for entry in self.of("submit"):
            if entry.verdict in ("ok", "dup"):
                assert entry.answered_id in records, f"{entry} was accepted and is lost"
                assert records[entry.answered_id]["tenant"] == entry.tenant
            else:
                assert entry.job not in records, f"{entry} was refused and is there"

    def _check_verdicts(self, records: Records) -> None:
        """At most one finish is accepted, and it is how the job stands."""
        for job, finishes in self.by_job("finish").items():
            accepted = [entry.verdict for entry in finishes if entry.verdict in STATE_AFTER]
            assert len(accepted) <= 1, f"{job} was ended twice: {finishes}"
            for verdict in accepted:
                assert records[job]["state"] == STATE_AFTER[verdict]

    def _check_deliveries(self, outbox: Outbox, records: Records) -> None:
        releases = self.by_job("release")
        for job, events in outbox.items():
            num_released = sum(entry.verdict == "queued" for entry in releases[job])
            num_deliveries = events.count("job.started") - num_released
            assert num_deliveries <= MAX_DELIVERIES, f"{job} was delivered {num_deliveries} times"
            assert events.count("job.retrying") < MAX_FAILURES, f"{job} failed too often"
            if records[job].get("error_code") == "attempts_exhausted":
                assert num_deliveries >= MAX_DELIVERIES, f"{job} was given up after {num_deliveries} deliveries"

    def _check_fences(self) -> None:
        """Only the newest delivery is listened to."""
        newest: dict[str, int] = {}
        for entry in self.of("claim", "hold", "finish", "release"):
            if entry.kind == "claim":
                assert entry.fence > newest.get(entry.job, 0), f"{entry} after {newest[entry.job]}"
                newest[entry.job] = entry.fence
            elif entry.kind == "hold" or entry.verdict not in REFUSED:
                assert entry.fence == newest[entry.job], f"{entry} while {newest[entry.job]} runs"

    def _check_leases(self) -> None:
        """No delivery begins while another one of the job may believe in its lease."""
        # Of a call that was made again, the first one counts.
        ends = {(entry.job, entry.fence): entry.at_ms for entry in reversed(self.of("end", "lost", "bury"))}
        last_sign = {(entry.job, entry.fence): entry.at_ms for entry in self.of("claim", "hold")}
        for job, claims in self.by_job("claim").items():
            in_order = sorted(claims, key=lambda entry: entry.fence)
            for earlier, later in pairwise(in_order):
                delivery = (job, earlier.fence)
                until_ms = min(ends.get(delivery, 1 << 62), last_sign[delivery] + LEASE_MS)
                assert later.at_ms >= until_ms, f"{later} while {earlier} held until {until_ms}"

    def _check_keys(self) -> None:
        by_key = defaultdict(list)
        for entry in self.of("submit"):
            if entry.key:
                by_key[entry.tenant, entry.key].append(entry)
        for entries in by_key.values():
            accepted = {(entry.fingerprint, entry.answered_id) for entry in entries if entry.verdict in ("ok", "dup")}
            assert len(accepted) <= 1, f"one key, several jobs: {entries}"
            refused = {entry.fingerprint for entry in entries if entry.verdict == "mismatch"}
            assert not refused & {fingerprint for fingerprint, _ in accepted}, f"the same content refused: {entries}"

    def _check_cancels(self, records: Records) -> None:
        accepted = [entry for entry in self.of("submit") if entry.verdict in ("ok", "dup")]
        # Of a job, the first answer counts.
        accepted_ms = {entry.answered_id: entry.at_ms for entry in reversed(accepted)}
        for entry in self.of("cancel"):
            record = records.get(entry.job)
            if entry.verdict == "notfound":
                # A submission that was refused may have been accepted later, when its answer was lost.
                is_there = entry.at_ms > accepted_ms.get(entry.job, entry.at_ms)
                assert not (is_there and record and record["tenant"] == entry.tenant), f"{entry}, but it is there"
                continue
            assert record, f"{entry}, but it is lost"
            assert record["tenant"] == entry.tenant, f"{entry} of another tenant's job"
            # The deadline may have come before the wish.
            allowed = {"cancelled", "failed"} if entry.verdict == "cancelling" else {entry.verdict}
            assert record["state"] in allowed, f"{entry}, but it is {record['state']}"

    def _check_deadlines(self, records: Records) -> None:
        deadline_ms = {entry.job: entry.deadline_ms for entry in self.of("submit")}
        for entry in self.of("claim"):
            due_ms = int(records[entry.job]["created_ms"]) + deadline_ms[entry.job]
            assert entry.server_ms <= due_ms, f"{entry} past its deadline"

    def _check_poison(self, records: Records) -> None:
        for entry in self.of("poison"):
            assert entry.job not in records or records[entry.job]["state"] != "succeeded", f"{entry} succeeded"


def _check_ends(outbox: Outbox, records: Records) -> None:
    """Every job has ended, once, and that was the last thing said of it."""
    assert set(outbox) == set(records), "jobs and their events differ"
    for job, record in records.items():
        ends = [event for event in outbox[job] if event.removeprefix("job.") in ENDS]
        assert ends == [f"job.{record['state']}"], f"{job} is {record['state']} after {outbox[job]}"
        assert _without(outbox[job], "job.expired")[-1] == ends[0], f"{job} went on after its end: {outbox[job]}"
        assert ("result" in record) == (record["state"] == "succeeded")


def _without_jobs(outbox: Outbox, jobs: set[str]) -> Outbox:
    return {job: events for job, events in outbox.items() if job not in jobs}


def _without(events: Iterable[str], unwanted: str) -> list[str]:
    return [event for event in events if event != unwanted]
