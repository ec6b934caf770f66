"""What must hold of a history: one function a rule, each gives its violations.

The rules are those of a job's life and of the store; what clients were answered is `tests.chaos.answer_rules`'.
"""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.history import TERMINAL, Exit, History, Record

_SIGKILL, _TRY_LATER = 9, 75
# A process that starts while the queue is away may say so some seconds after it is back.
_NOTICE_SECONDS = 15.0
# Pictures go a moment after their job has expired, or when a gateway is back.
_DELETED_WITHIN_SECONDS = 30.0


def every_accepted_job_ends(history: History) -> Iterator[tuple[str, str]]:
    """I1: what an answer named has one record, in a final state; so has every other job of the stream."""
    accepted = {job_id for order in history.orders for job_id in order.job_ids}
    queued = {event.job_id for event in history.events if event.type == "job.queued"}
    for job_id in accepted | queued:
        record = history.records.get(job_id)
        if record is None:
            yield job_id, "was accepted and has no record"
        elif record.state not in TERMINAL.values():
            yield job_id, f"has not ended: {record.state}"


def one_end_each(history: History) -> Iterator[tuple[str, str]]:
    """I2: one terminal event, of the record's state, and nothing but its expiry after it; one accepted finish."""
    for job_id, record in history.records.items():
        types = [event.type for event in history.events_of.get(job_id, ())]
        ends = [TERMINAL[name] for name in types if name in TERMINAL]
        if ends != [record.state]:
            yield job_id, f"its record says {record.state}, its terminal events are {ends}"
        last = [name for name in types if name != "job.expired"][-1:]
        if last and last[0] not in TERMINAL:
            yield job_id, f"went on after its end: {types}"
        accepted = [deed for deed in history.deeds_of.get(job_id, ()) if deed.verdict == "succeeded"]
        if len(accepted) > 1:
            yield job_id, f"more than one finish was accepted: {accepted}"


def no_event_vanishes(history: History) -> Iterator[tuple[str, str]]:
    """G1: what was read from the queue once is there in the end, whatever was killed meanwhile."""
    held = {event.id: event for event in history.events}
    for event in history.seen_events:
        if held.get(event.id) != event:
            yield event.job_id, f"the event {event.id} {event.type} was there and is gone"


def bounded_tries(history: History) -> Iterator[tuple[str, str]]:
    """I3: no more deliveries and failures than are allowed, by the record and by the workers' diaries."""
    limits = history.limits
    for job_id, record in history.records.items():
        if record.deliveries > limits.max_deliveries:
            yield job_id, f"{record.deliveries} deliveries, allowed are {limits.max_deliveries}"
        if record.failures > limits.max_failures:
            yield job_id, f"{record.failures} failures, allowed are {limits.max_failures}"
        deeds = history.deeds_of.get(job_id, ())
        # A repeated claim hands out the same delivery again, and a released one does not count.
        claimed = {deed.fence for deed in deeds if deed.verb == "claim"}
        released = {deed.fence for deed in deeds if deed.verb == "release" and deed.verdict in ("queued", "already")}
        if len(claimed - released) > limits.max_deliveries:
            yield job_id, f"was delivered under the fences {sorted(claimed - released)}"


def file_is_the_records(history: History) -> Iterator[tuple[str, str]]:
    """I4: each result was in the store when its job had succeeded, with the record's fence and digest."""
    for record in _succeeded(history):
        found = history.inspections.get(record.job_id)
        if found is None:
            yield record.job_id, "its result was not inspected"
        elif (found.fence, found.sha256) != (record.result_fence, record.sha256):
            yield record.job_id, f"the record says fence {record.result_fence} {record.sha256}, the store has {found}"
        if record.result_fence != record.fence:
            yield record.job_id, f"was finished by fence {record.result_fence}, its last delivery is {record.fence}"


def picture_is_the_requests(history: History) -> Iterator[tuple[str, str]]:
    """I5: each picture shows what its request asks for, and the request is what the client wished."""
    for record in _succeeded(history):
        found = history.inspections.get(record.job_id)
        if found and not found.is_picture_right:
            yield record.job_id, "the picture is not the one that was asked for"
    for job_id, record in history.records.items():
        order = history.order_of.get(record.seed)
        if order is None:
            yield job_id, f"nobody asked for the seed {record.seed}"
        elif order.wish.num_steps != record.num_steps:
            yield job_id, f"{order.wish.num_steps} steps were asked for, the record says {record.num_steps}"


def one_job_a_key(history: History) -> Iterator[tuple[str, str]]:
    """I6: all submissions under one key have one job, and without a key there are no more jobs than submissions."""
    jobs = Counter(record.seed for record in history.records.values())
    for order in history.orders:
        num_submissions = 1 if order.wish.key else sum(call.verb == "submit" for call in order.calls)
        named = sorted(order.job_ids)
        if jobs[order.wish.seed] > num_submissions:
            yield " ".join(named), f"{jobs[order.wish.seed]} jobs of {num_submissions} submission(s) of {order.wish}"
        if order.wish.key and len(named) > 1:
            yield " ".join(named), f"the key {order.wish.key} was answered with {len(named)} jobs"


def poison_hurts_nobody_else(history: History) -> Iterator[tuple[str, str]]:
    """I7: what kills workers never succeeds, and nothing else is given up for having been near it."""
    for job_id, record in history.records.items():
        order = history.order_of.get(record.seed)
        poison = order.wish.poison if order else ""
        if poison and record.state == "succeeded":
            yield job_id, f"kills its worker by {poison}, and has succeeded"
        if not poison and record.error_code == "attempts_exhausted" and not history.is_bad_luck(job_id):
            yield job_id, "was given up after its deliveries, and did nothing wrong"
        if (
            not poison
            and record.state == "failed"
            and record.error_code not in ("deadline_exceeded", "attempts_exhausted")
        ):
            yield job_id, f"failed: {record.error_code}"


def deadlines_hold(history: History) -> Iterator[tuple[str, str]]:
    """G9: no job succeeds past its deadline, and none fails by a deadline that is not over."""
    for job_id, record in history.records.items():
        if record.deadline_at is None or record.ended_at is None:
            continue
        if record.state == "succeeded" and record.ended_at > record.deadline_at:
            yield job_id, f"succeeded {record.ended_at - record.deadline_at:.3f} s after its deadline"
        if record.error_code == "deadline_exceeded" and record.ended_at < record.deadline_at:
            yield job_id, f"failed by its deadline {record.deadline_at - record.ended_at:.3f} s before it"


def nothing_is_left(history: History) -> Iterator[tuple[str, str]]:
    """I10: no count or index of living jobs, no picture that is nobody's, nothing that the auditor complains of."""
    left = history.leftovers
    if left.live:
        yield "", f"the queue counts {left.live} living jobs"
    for index, count in left.indexed.items():
        if count:
            yield "", f"{index} has {count} entries"
    for complaint in left.audit:
        yield "", f"auditor: {complaint}"
    for job_id, fence in left.outputs:
        record = history.records.get(job_id)
        # A killed worker may leave a picture without a finish: it goes with the job's own.
        is_killed_ones = record is not None and not record.is_expired and fence <= record.fence
        if not is_killed_ones and not _is_just_expired(history, job_id):
            yield job_id, f"the file of fence {fence} is nobody's"
        elif fence != record.result_fence and _was_refused(history, job_id, fence):
            yield job_id, f"the file of fence {fence} was refused and is still there"
    for job_id in left.inputs:
        record = history.records.get(job_id)
        if record is not None and record.is_expired and not _is_just_expired(history, job_id):
            yield job_id, "has expired, and its input is still there"


def all_ends_soon(history: History) -> Iterator[tuple[str, str]]:
    """Liveness: once the faults are over, every job ends within the time that is left to it."""
    for job_id, record in history.records.items():
        latest = max(history.faults_ended, record.created_at) + history.limits.settle_seconds
        if record.ended_at is not None and record.ended_at > latest:
            yield job_id, f"ended {record.ended_at - history.faults_ended:.1f} s after the last fault"


def processes_end_as_told(history: History) -> Iterator[tuple[str, str]]:
    """G10: told to stop, a worker ends with status 0 in its time; no process dies of anything but a fault."""
    limits = history.limits
    longest = limits.drain_seconds + limits.lease_seconds + limits.max_answer_seconds
    poisoned = {deed.pid for deed in history.deeds if _is_poison(history, deed.job_id)}
    for ended in history.exits:
        if ended.pid not in poisoned and not _is_foreseen(history, ended):
            words = "was told to stop and" if ended.was_told else "untold"
            moment = ended.at - history.started
            yield "", f"{ended.part} (process {ended.pid}) {words} ended with status {ended.status} at {moment:.1f} s"
    for fault in history.faults:
        if fault.kind == "worker SIGTERM" and fault.over_at - fault.at > longest and fault.pid not in poisoned:
            yield "", f"a worker took {fault.over_at - fault.at:.1f} s to stop"


def _is_foreseen(history: History, ended: Exit) -> bool:
    if ended.status == _TRY_LATER:
        # It could not start, or not go on, without the queue.
        return any(at <= ended.at <= over + _NOTICE_SECONDS for at, over in history.windows("queue SIGKILL"))
    return ended.status == (0 if ended.was_told else -_SIGKILL)


def _succeeded(history: History) -> list[Record]:
    return [record for record in history.records.values() if record.state == "succeeded"]


def _is_just_expired(history: History, job_id: str) -> bool:
    """Whether the pictures of the job were still to be deleted when the service was stopped, and not for long."""
    left = history.leftovers
    moments = [event.at for event in history.events_of.get(job_id, ()) if event.type == "job.expired"]
    return job_id in left.deletable and any(left.at - moment <= _DELETED_WITHIN_SECONDS for moment in moments)


def _is_poison(history: History, job_id: str) -> bool:
    record = history.records.get(job_id)
    order = history.order_of.get(record.seed) if record else None
    return bool(order and order.wish.poison)


def _was_refused(history: History, job_id: str, fence: int) -> bool:
    """Whether a worker that lived on was told that its picture does not count."""
    deeds = [deed for deed in history.deeds_of.get(job_id, ()) if deed.fence == fence and deed.verb == "succeed"]
    refused = [deed for deed in deeds if deed.verdict not in ("succeeded", "already")]
    killed = {ended.pid for ended in history.exits if ended.status != 0}
    return any(deed.pid not in killed for deed in refused)
