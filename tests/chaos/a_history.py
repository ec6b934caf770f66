"""A small history in which every promise was kept, for tests that break one of them."""

from tests.chaos.history import (
    Call,
    Deed,
    DoneFault,
    Event,
    Exit,
    History,
    Inspection,
    Leftovers,
    Limits,
    Order,
    Record,
    Wish,
)

GOOD, CANCELLED, LATE, POISON = "job_good", "job_cancelled", "job_late", "job_poison"
LIMITS = Limits(
    lease_seconds=1.6,
    max_deliveries=5,
    max_failures=3,
    max_answer_seconds=10,
    drain_seconds=4,
    settle_seconds=60,
)
FAULTS_ENDED = 50.0


def a_history() -> History:
    """One job that succeeds in its second delivery, one cancelled, one past its deadline, one that kills workers."""
    records = {
        GOOD: a_record(GOOD, 1, "succeeded", deliveries=2, fence=4, result_fence=4, sha256="aa"),
        CANCELLED: a_record(CANCELLED, 2, "cancelled"),
        LATE: a_record(LATE, 3, "failed", deadline_at=5.0, ended_at=5.5, error_code="deadline_exceeded"),
        POISON: a_record(POISON, 4, "failed", deliveries=5, fence=9, error_code="attempts_exhausted"),
    }
    events = [
        Event(f"{number}-{index}", kind, job_id, at=float(index))
        for number, (job_id, kinds) in enumerate(_EVENTS.items())
        for index, kind in enumerate(kinds)
    ]
    return History(
        limits=LIMITS,
        leftovers=Leftovers(0, {"leases": 0}, frozenset({(GOOD, 4), (GOOD, 1)}), frozenset({GOOD, "job_stray"})),
        started=0.0,
        faults_ended=FAULTS_ENDED,
        orders=_orders(),
        seen_events=events[:5],
        events=events,
        records=records,
        inspections={GOOD: Inspection(GOOD, 4, "aa", is_picture_right=True)},
        deeds=[
            Deed(1.0, 11, "claim", GOOD, 1, "ok"),
            Deed(2.0, 12, "claim", GOOD, 4, "ok"),
            Deed(3.0, 12, "succeed", GOOD, 4, "succeeded"),
            Deed(1.0, 13, "claim", POISON, 9, "ok"),
        ],
        faults=[
            DoneFault("worker SIGTERM", 20.0, 12, 21.0),
            DoneFault("gateway SIGKILL", 30.0, 14, 31.0),
        ],
        exits=[
            Exit("worker 1", 11, -9, 1.5),
            Exit("worker 2", 12, 0, 21.0, was_told=True),
            Exit("worker 3", 13, 139, 2.0),
        ],
    )


def a_record(job_id: str, seed: int, state: str, **fields: object) -> Record:
    """A record with nothing remarkable but what is given."""
    usual = {
        "num_steps": 4,
        "source_digest": "sha256:1",
        "pose_digest": "sha256:2",
        "deliveries": 1,
        "failures": 0,
        "fence": 2,
        "created_at": 0.5,
        "ended_at": 4.0,
    }
    return Record(job_id=job_id, seed=seed, state=state, **(usual | fields))


_EVENTS = {
    GOOD: ["job.queued", "job.started", "job.requeued", "job.started", "job.succeeded", "job.expired"],
    CANCELLED: ["job.queued", "job.started", "job.cancelled"],
    LATE: ["job.queued", "job.failed"],
    POISON: ["job.queued", "job.started", "job.failed"],
}


def _orders() -> list[Order]:
    good = Wish(1, 4, 0, 0, key="k", doubling="at once")
    return [
        Order(
            good,
            [
                Call("submit", 0.1, 0.1, 202, job_id=GOOD, state="queued"),
                Call("submit", 0.1, 0.1, 202, job_id=GOOD, state="queued"),
                Call("status", 30.5, 0.1, code="ConnectError"),
                Call("result", 32.0, 0.1, 200, job_id=GOOD, state="succeeded", sha256="aa"),
            ],
        ),
        Order(
            Wish(2, 4, 0, 0, cancel="any moment"),
            [
                Call("submit", 0.1, 0.1, 202, job_id=CANCELLED, state="queued"),
                Call("cancel", 1.5, 0.1, 202, job_id=CANCELLED, state="cancelling"),
                Call("result", 3.0, 0.1, 409, "cancelled", job_id=CANCELLED),
            ],
        ),
        Order(
            Wish(3, 4, 0, 0, deadline_seconds=4.5, is_waiting=True),
            [Call("submit", 0.1, 5.4, 504, "deadline_exceeded", job_id=LATE, wait_seconds=8.0)],
        ),
        Order(
            Wish(4, 4, 1000, 0, poison="crash"),
            [
                Call("submit", 0.1, 0.1, 202, job_id=POISON, state="queued"),
                Call("result", 9.0, 0.1, 500, "attempts_exhausted", job_id=POISON),
            ],
        ),
    ]
