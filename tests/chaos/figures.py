"""What a history amounts to: counts and samples, which add up over runs.

It judges nothing, and writes no report (`tests.chaos.report`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.faults import KILLS, STOPS, Fault
from tests.chaos.history import TERMINAL, Call, History, Order
from tests.chaos.poisoned_worker import CRASH_STATUS

AIMS = {
    "jobs": 10_000,
    "workers killed (SIGKILL)": 300,
    "workers stopped for 1 to 3 leases (SIGSTOP, SIGCONT)": 100,
    "workers told to stop (SIGTERM)": 100,
    "queue servers killed and started again on their log": 50,
    "cancels sent while the job ran": 1000,
    "submissions doubled": 1000,
    "stale finishes refused": 50,
}
"""What a whole run should reach before its silence means something."""
# Clients of the queue connect again within this time.
_BACK_SECONDS = 1.0
_GIVEN_UP = "attempts_exhausted"
_ENDS = ("succeed", "fail", "end_cancelled", "release")


@dataclass(frozen=True)
class Figures:
    """Of one run, or of several.

    Attributes:
        counts: by what is counted, in the order of the report.
        samples: seconds, likewise.
    """

    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def __add__(self, other: "Figures") -> "Figures":
        counts = Counter({name: self.counts[name] + other.counts[name] for name in [*self.counts, *other.counts]})
        names = dict.fromkeys([*self.samples, *other.samples])
        return Figures(counts, {name: self.samples.get(name, []) + other.samples.get(name, []) for name in names})


def figures(history: History, num_violations: int) -> Figures:
    """Count everything that the report tells."""
    counts: Counter[str] = Counter({"violations": num_violations})
    for part in (_jobs(history), _faults(history), _clients(history), _repeats(history)):
        counts.update(part)
    return Figures(counts, _samples(history))


def _jobs(history: History) -> dict[str, int]:
    records = history.records.values()
    outcomes = Counter(f"jobs that ended as {record.error_code or record.state}" for record in records)
    poison = sum(bool(order.wish.poison) for order in history.orders)
    given_up = [record for record in records if record.error_code == _GIVEN_UP]
    unlucky = sum(not history.order_of[record.seed].wish.poison for record in given_up)
    return {
        "jobs": len(history.records),
        **dict(sorted(outcomes.items())),
        "jobs that kill their worker": poison,
        "others that lost every worker to faults": unlucky,
    }


def _faults(history: History) -> dict[str, int]:
    kinds = Counter(fault.kind for fault in history.faults)
    return {
        "workers killed (SIGKILL)": sum(kinds[kind] for kind in KILLS),
        "of these between picture and finish": kinds[Fault.KILL_AT_COMMIT],
        "workers stopped for 1 to 3 leases (SIGSTOP, SIGCONT)": sum(kinds[kind] for kind in STOPS),
        "of these also between picture and finish": kinds[Fault.STOP_AT_COMMIT],
        "workers told to stop (SIGTERM)": kinds[Fault.TERM_WORKER],
        "workers that a poison photo ended": sum(e.status == CRASH_STATUS for e in history.exits),
        "queue servers killed and started again on their log": kinds[Fault.KILL_QUEUE],
        "gateways killed": kinds[Fault.KILL_GATEWAY],
    }


def _clients(history: History) -> dict[str, int]:
    cancels = [(order, call) for order in history.orders for call in order.calls if call.verb == "cancel"]
    races = [order for order, call in cancels if call.state and _was_running(history, call)]
    won = Counter(_state(history, order) for order in races)
    doubled = Counter(order.wish.doubling for order in history.orders)
    away = [call for order in history.orders for call in order.calls if call.status == 503]
    return {
        "calls": sum(len(order.calls) for order in history.orders),
        "answered with 503": len(away),
        "of these while the queue server was up": sum(not _was_away(history, call) for call in away),
        "submissions doubled": doubled.total() - doubled[""],
        "of these after the client hung up": doubled["cut"],
        "other content under a used key, refused": sum(
            call.status == 422 for order in history.orders for call in order.calls
        ),
        "cancels": len(cancels),
        "cancels sent while the job ran": len(races),
        "of these won by the cancel": won["cancelled"],
        "of these won by the finish": won["succeeded"],
    }


def _repeats(history: History) -> dict[str, int]:
    claims = {(deed.job_id, deed.fence) for deed in history.deeds if deed.verb == "claim"}
    stale = sum(deed.verdict == "fenced" for deed in history.deeds if deed.verb in _ENDS)
    return {
        "stale finishes refused": stale,
        "deliveries beyond each job's first": len(claims) - len({job_id for job_id, _ in claims}),
    }


def _samples(history: History) -> dict[str, list[float]]:
    calm: list[float] = []
    repeated: list[float] = []
    for record in history.records.values():
        if record.state == "succeeded" and record.ended_at:
            (calm if record.deliveries == 1 else repeated).append(record.ended_at - record.created_at)
    queue_back = [over for _, over in history.windows(Fault.KILL_QUEUE)]
    gateways = history.windows(Fault.KILL_GATEWAY)
    away = [
        call.seconds for order in history.orders for call in order.calls if call.status == 503 and not call.wait_seconds
    ]
    return {
        "acceptance to success, one delivery": calm,
        "acceptance to success, several deliveries": repeated,
        "death of a worker to the next delivery of its jobs": list(_reclaims(history)),
        "queue back to the next event of a job": list(_first_events(history, queue_back)),
        "gateway killed to ready again": [over - at for at, over in gateways],
        "503 while the queue is away": away,
        "last fault to the end of the last job": [_settled(history)],
    }


def _reclaims(history: History) -> Iterator[float]:
    """Of each job that a worker took to its death: the time until it was claimed again."""
    died = {ended.pid: ended.at for ended in history.exits if ended.status in (-9, CRASH_STATUS)}
    for deeds in history.deeds_of.values():
        claims = [deed for deed in deeds if deed.verb == "claim"]
        for claim, following in pairwise(claims):
            is_told = any(deed.fence == claim.fence and deed.verb in _ENDS for deed in deeds)
            if claim.pid in died and not is_told and following.pid != claim.pid:
                yield max(0.0, following.at - died[claim.pid])


def _first_events(history: History, moments: Iterable[float]) -> Iterator[float]:
    times = sorted(event.at for event in history.events)
    for moment in moments:
        later = next((at for at in times if at >= moment), None)
        if later is not None:
            yield later - moment


def _settled(history: History) -> float:
    ends = [record.ended_at for record in history.records.values() if record.ended_at]
    return max(0.0, max(ends, default=history.faults_ended) - history.faults_ended)


def _was_away(history: History, call: Call) -> bool:
    windows = history.windows(Fault.KILL_QUEUE)
    return any(call.started <= over + _BACK_SECONDS and call.started + call.seconds >= at for at, over in windows)


def _was_running(history: History, call: Call) -> bool:
    before = [event.type for event in history.events_of.get(call.job_id, ()) if event.at <= call.started]
    return bool(before) and before[-1] == "job.started" and not set(before) & TERMINAL.keys()


def _state(history: History, order: Order) -> str:
    return next((history.records[job_id].state for job_id in order.job_ids if job_id in history.records), "")
