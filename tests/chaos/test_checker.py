"""Each rule of the checker has failed once: a promise is broken in a good history, and its rule says so."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.a_history import CANCELLED, FAULTS_ENDED, GOOD, LATE, LIMITS, POISON, a_history, a_record
from tests.chaos.checker import RULES, story, violations
from tests.chaos.history import Call, Deed, DoneFault, Event, Exit, History, Inspection, Order, Wish

Mutation = Callable[[History], object]


def changed(job_id: str, **fields: object) -> Mutation:
    def change(history: History) -> None:
        history.records[job_id] = replace(history.records[job_id], **fields)

    return change


def called(index: int, call: Call) -> Mutation:
    return lambda history: history.orders[index].calls.append(call)


def told(deed: Deed) -> Mutation:
    return lambda history: history.deeds.append(deed)


def left(**fields: object) -> Mutation:
    def change(history: History) -> None:
        history.leftovers = replace(history.leftovers, **fields)

    return change


def expired(read_at: float) -> Mutation:
    """GOOD has expired, its pictures are there, and the queue still names them as to be deleted."""

    def change(history: History) -> None:
        changed(GOOD, is_expired=True)(history)
        left(deletable=frozenset({GOOD}), at=read_at)(history)

    return change


def happened(kind: str, job_id: str) -> Mutation:
    return lambda history: history.events.append(Event("9-9", kind, job_id, 40.0))


def two_jobs_of_one_wish(history: History) -> None:
    history.records["job_twin"] = a_record("job_twin", 1, "failed", error_code="deadline_exceeded")
    history.events += [Event("8-1", "job.queued", "job_twin", 1.0), Event("8-2", "job.failed", "job_twin", 2.0)]


BROKEN: list[tuple[str, str, Mutation]] = [
    ("I1 ends", "no record", lambda history: history.records.pop(GOOD)),
    ("I1 ends", "no end", changed(GOOD, state="running")),
    ("I1 ends", "nobody's job has no end", happened("job.queued", "job_unknown")),
    ("I2 once", "two ends", happened("job.failed", GOOD)),
    ("I2 once", "another end than the record's", changed(CANCELLED, state="failed", error_code="deadline_exceeded")),
    ("I2 once", "started after its end", happened("job.started", LATE)),
    ("I2 once", "two finishes accepted", told(Deed(4.0, 11, "succeed", GOOD, 1, "succeeded"))),
    ("G1 durable", "an event is gone", lambda history: history.events.pop(1)),
    ("I3 tries", "too many deliveries", changed(POISON, deliveries=6)),
    ("I3 tries", "too many failures", changed(LATE, failures=4)),
    (
        "I3 tries",
        "more claims than the record counts",
        lambda history: history.deeds.extend(Deed(3.0, 13, "claim", POISON, fence, "ok") for fence in range(20, 26)),
    ),
    ("I4 file", "not inspected", lambda history: history.inspections.clear()),
    ("I4 file", "other bytes", changed(GOOD, sha256="bb")),
    ("I4 file", "finished by an old fence", changed(GOOD, fence=5)),
    (
        "I5 picture",
        "another picture",
        lambda history: history.inspections.update({GOOD: Inspection(GOOD, 4, "aa", is_picture_right=False)}),
    ),
    ("I5 picture", "another request", changed(GOOD, num_steps=5)),
    ("I5 picture", "nobody's request", changed(GOOD, seed=99)),
    ("I6 key", "two jobs", two_jobs_of_one_wish),
    ("I6 key", "two ids", called(0, Call("submit", 2.0, 0.1, 202, job_id="job_twin", state="queued"))),
    ("I7 poison", "poison succeeds", changed(POISON, state="succeeded")),
    ("I7 poison", "an innocent is given up", changed(LATE, error_code="attempts_exhausted")),
    ("I7 poison", "an innocent fails", changed(LATE, error_code="internal_error")),
    ("I8 answers agree", "final, and then another final", called(0, Call("status", 9, 0.1, 200, "", GOOD, "failed"))),
    ("I8 answers agree", "cancelling, and then succeeded", changed(CANCELLED, state="succeeded")),
    ("I8 answers agree", "cancelled, and goes on", called(1, Call("cancel", 1.6, 0.1, 200, "", CANCELLED, "running"))),
    (
        "I8 answers agree",
        "cancelled, and a picture",
        called(1, Call("result", 4.0, 0.1, 200, "", CANCELLED, "cancelled", "cc")),
    ),
    ("I8 answers agree", "another picture", called(0, Call("result", 9.0, 0.1, 200, "", GOOD, "succeeded", "bb"))),
    ("G9 deadlines", "success past it", changed(GOOD, deadline_at=3.0)),
    ("G9 deadlines", "failure before it", changed(LATE, ended_at=4.0)),
    ("G10 stops", "another status", lambda history: history.exits.append(Exit("worker 2", 15, 1, 22.0, was_told=True))),
    ("G10 stops", "killed in the end", lambda history: history.exits.append(Exit("worker 2", 15, -9, 22.0, True))),
    ("G10 stops", "died by itself", lambda history: history.exits.append(Exit("gateway", 15, 1, 22.0))),
    (
        "G10 stops",
        "gave up, and the queue was there",
        lambda history: history.exits.append(Exit("gateway", 15, 75, 22.0)),
    ),
    ("G10 stops", "ended untold", lambda history: history.exits.append(Exit("worker 2", 15, 0, 22.0))),
    (
        "G10 stops",
        "took too long",
        lambda history: history.faults.append(DoneFault("worker SIGTERM", 20.0, 15, 45.0)),
    ),
    ("I10 nothing left", "a living job counted", left(live=1)),
    ("I10 nothing left", "a lease", left(indexed={"leases": 1})),
    ("I10 nothing left", "an auditor's complaint", left(audit=("no lease",))),
    ("I10 nothing left", "an output of no job", left(outputs=frozenset({("job_unknown", 3)}))),
    ("I10 nothing left", "an output of a later fence", left(outputs=frozenset({(GOOD, 5)}))),
    ("I10 nothing left", "an expired output", changed(GOOD, is_expired=True)),
    ("I10 nothing left", "an expired output that nobody deletes", expired(read_at=100.0)),
    ("I10 nothing left", "a refused output", told(Deed(4.0, 16, "succeed", GOOD, 1, "fenced"))),
    ("I11 answers", "an error of ours", called(0, Call("status", 9.0, 0.1, 500, "internal_error", GOOD))),
    ("I11 answers", "not there", called(0, Call("status", 9.0, 0.1, 404, "not_found"))),
    ("I11 answers", "given up without poison", called(0, Call("result", 9.0, 0.1, 500, "attempts_exhausted", GOOD))),
    ("I11 answers", "no answer", called(0, Call("status", 9.0, 0.1, code="ReadError"))),
    ("I11 answers", "a hang", called(0, Call("status", 9.0, 15.0, 200, "", GOOD, "running", wait_seconds=4.0))),
    ("liveness", "an end too late", changed(GOOD, ended_at=FAULTS_ENDED + LIMITS.settle_seconds + 1)),
]


def test_checker_when_every_promise_was_kept_then_it_is_silent() -> None:
    assert violations(a_history()) == []


@pytest.mark.parametrize(("rule", "what", "mutate"), BROKEN, ids=[f"{rule}: {what}" for rule, what, _ in BROKEN])
def test_checker_when_a_promise_is_broken_then_its_rule_says_so(rule: str, what: str, mutate: Mutation) -> None:
    history = a_history()
    mutate(history)

    assert rule in {violation.rule for violation in violations(history)}, what


def test_checker_when_its_rules_are_listed_then_each_has_failed_in_a_test() -> None:
    assert {rule for rule, _, _ in BROKEN} == RULES.keys()


def test_checker_when_pictures_of_a_job_that_just_expired_are_still_to_be_deleted_then_it_is_silent() -> None:
    history = a_history()
    expired(read_at=6.0)(history)

    assert violations(history) == []


def test_checker_when_a_hung_up_submission_has_no_answer_then_it_is_silent() -> None:
    history = a_history()
    history.orders[0].calls.append(Call("cut", 9.0, 0.01, code="ReadTimeout"))

    assert violations(history) == []


def test_checker_when_a_submission_without_a_key_was_made_twice_then_it_may_have_two_jobs() -> None:
    history = a_history()
    two_jobs_of_one_wish(history)
    history.orders[0] = Order(Wish(1, 4, 0, 0), history.orders[0].calls)

    assert violations(history) == []


def test_checker_when_every_worker_of_a_job_was_killed_by_a_fault_then_it_may_be_given_up() -> None:
    history = a_history()
    changed(LATE, error_code="attempts_exhausted", deadline_at=None, deliveries=5)(history)
    history.orders[2].calls = [Call("submit", 0.1, 5.4, 500, "attempts_exhausted", job_id=LATE)]
    history.deeds += [Deed(number, 20 + number, "claim", LATE, 30 + number, "ok") for number in range(5)]
    kills = [DoneFault("worker SIGKILL", number + 0.5, 20 + number, number + 0.5) for number in range(5)]

    history.faults += kills[1:]
    assert {violation.rule for violation in violations(history)} == {"I7 poison", "I11 answers"}
    history.faults += kills[:1]
    assert violations(history) == []


def test_story_when_a_job_has_broken_a_promise_then_it_tells_its_life_in_order() -> None:
    history = a_history()
    changed(GOOD, sha256="bb")(history)

    (told,) = {story(history, violation) for violation in violations(history) if violation.rule == "I4 file"}

    lines = told.splitlines()
    assert lines[0].startswith(f"I4 file: {GOOD} the record says fence 4 bb")
    moments = [float(line.split(" s  ")[0]) for line in lines if " s  " in line]
    assert moments == sorted(moments)
    assert {"job.requeued", "worker 12 succeed fence 4: succeeded"} <= {line.split(" s  ")[-1] for line in lines}
