"""What must hold of the answers that clients get, call by call and against the records.

The rules of a job's life are `tests.chaos.rules`'.
"""

from collections.abc import Iterator, Mapping

from tests.chaos.history import NO_ANSWER, Call, History, Order

# Of each verb the statuses it may have besides 503, and the codes that may stand behind those of a problem.
_ALLOWED: Mapping[str, Mapping[int, frozenset[str]]] = {
    "submit": {
        200: frozenset({""}),
        202: frozenset({""}),
        429: frozenset({"tenant_queue_full"}),
        504: frozenset({"deadline_exceeded"}),
    },
    "cut": {200: frozenset({""}), 202: frozenset({""}), 504: frozenset({"deadline_exceeded"})},
    "changed": {422: frozenset({"idempotency_mismatch"})},
    "status": {200: frozenset({""})},
    "cancel": {200: frozenset({""}), 202: frozenset({""})},
    "result": {
        200: frozenset({""}),
        409: frozenset({"not_finished", "cancelled"}),
        504: frozenset({"deadline_exceeded"}),
    },
}
_AWAY = frozenset({"queue_unavailable", "overloaded"})
# What a client learns of a job that was given up: a poison photo's, or one of very bad luck.
_GIVEN_UP = "attempts_exhausted"
_SLACK_SECONDS = 0.5


def answers_are_allowed(history: History) -> Iterator[tuple[str, str]]:
    """I11: only foreseen statuses; a connection breaks only while a gateway is killed; nobody waits for ever."""
    killed = [(start - _SLACK_SECONDS, end + _SLACK_SECONDS) for start, end in history.windows("gateway SIGKILL")]
    for order in history.orders:
        for call in order.calls:
            job_id = call.job_id or " ".join(sorted(order.job_ids))
            if call.status == NO_ANSWER:
                if call.verb != "cut" and not _is_within(call, killed):
                    yield job_id, f"no answer, and no gateway was killed: {call}"
            elif not _is_allowed(history, order, call):
                yield job_id, f"an answer that must not be: {call}"
            if call.seconds > history.limits.max_answer_seconds + call.wait_seconds:
                yield job_id, f"hung: {call}"


def answers_agree(history: History) -> Iterator[tuple[str, str]]:
    """I8: after a final answer every other one says the same; a cancelled job never shows a result."""
    for order in history.orders:
        for job_id in order.job_ids:
            record = history.records.get(job_id)
            if record is None:
                continue
            finals = {call.state for call in order.calls if call.job_id == job_id} & {
                "succeeded", "failed", "cancelled",
            }  # fmt: skip
            if finals - {record.state}:
                yield job_id, f"was answered as {sorted(finals)}, its record says {record.state}"
            for call in order.calls:
                if call.verb == "cancel" and call.state in ("queued", "running"):
                    yield job_id, f"was cancelled, and goes on: {call}"
            is_cancelling = any(call.verb == "cancel" and call.state == "cancelling" for call in order.calls)
            if is_cancelling and record.state != "cancelled":
                yield job_id, f"was answered as cancelling, its record says {record.state} {record.error_code}"
            yield from _shown_pictures(order, job_id, record.state, record.sha256)


def _shown_pictures(order: Order, job_id: str, state: str, sha256: str) -> Iterator[tuple[str, str]]:
    shown = {call.sha256 for call in order.calls if call.sha256 and call.job_id == job_id}
    if shown and state != "succeeded":
        yield job_id, f"a picture was shown, the record says {state}"
    elif shown - {sha256}:
        yield job_id, f"pictures {sorted(shown)} were shown, the record says {sha256}"


def _is_allowed(history: History, order: Order, call: Call) -> bool:
    if call.status == 503:
        return call.code in _AWAY
    if call.code == _GIVEN_UP:
        may_be = bool(order.wish.poison) or history.is_bad_luck(call.job_id)
        return may_be and call.verb in ("submit", "result")
    return call.code in _ALLOWED[call.verb].get(call.status, frozenset())


def _is_within(call: Call, windows: list[tuple[float, float]]) -> bool:
    return any(call.started <= end and call.started + call.seconds >= start for start, end in windows)
