"""What the queue promises of jobs and batches that only processes of a newer version can do."""

from tests.fakes.queue_lab import ASIDE_MS, PREFIX, QueueLab

LONGER_MS = 60_000


def check_what_a_version_can_not_do_it_is_given_once(lab: QueueLab) -> None:
    for number in (1, 2, 3):
        lab.enqueue(number)
    assert lab.release(1, lab.claim(free=1, code="old")[1], ASIDE_MS, "old") == "queued"
    told = lab.events(1)
    for number in (2, 3):
        lab.lapse(2 * ASIDE_MS)
        lab.check()
        fences = lab.claim("another", free=1, running=1, code="old")
        assert list(fences) == [number], "it is behind the other one"
        lab.check()
        lab.finish(number, fences[number])
    assert lab.state(1) == "delayed"
    lab.lapse(2 * ASIDE_MS)
    lab.check()
    assert lab.events(1) == told, "nobody is told again"
    fence = lab.claim("newer", free=1, code="new")[1]
    assert lab.record(1)["deliveries"] == "1"
    assert lab.events(1) == [*told, "job.started"]
    lab.check()

    lab.release(1, fence, ASIDE_MS, "new")
    lab.lapse(2 * ASIDE_MS)
    assert lab.claim(code="old") == {}
    lab.lapse(2 * ASIDE_MS)
    assert lab.claim(code="new") == {}
    lab.lapse(2 * ASIDE_MS)
    assert list(lab.claim()) == [1], "who says no name is given anything"
    lab.check()


def check_a_claim_passes_over_a_bounded_number_of_newer_jobs(lab: QueueLab) -> None:
    lab.enqueue_many(range(120), max_live=1_000)
    for _ in range(15):
        for number, fence in lab.claim(code="old").items():
            lab.release(number, fence, ASIDE_MS, "old")
    lab.lapse(2 * ASIDE_MS)
    lab.enqueue(999, max_live=1_000)
    answer = lab.claim_answer(code="old")
    assert (answer["jobs"], answer["more"]) == ({}, True)
    answer = lab.claim_answer(code="old")
    assert ([job["attempt"] for job in answer["jobs"]], answer["more"]) == ([1], False)
    lab.check()


def check_what_is_set_aside_is_not_paid_for(lab: QueueLab) -> None:
    for number in (1, 2, 3):
        lab.enqueue(number, tenant="a", cost=40)
    for number in (11, 12, 13):
        lab.enqueue(number, tenant="b")
    lab.release(1, lab.claim(free=1)[1], LONGER_MS)
    assert list(lab.claim(free=1)) == [2]
    assert list(lab.claim(free=1)) == [11]
    lab.check()


def check_a_tenants_only_job_that_is_set_aside_is_not_paid_for(lab: QueueLab) -> None:
    lab.enqueue(1, tenant="a", cost=40)
    lab.release(1, lab.claim(free=1)[1], LONGER_MS)
    for number in (11, 12):
        lab.enqueue(number, tenant="b")
    assert list(lab.claim(free=1)) == [11]
    lab.enqueue(2, tenant="a", cost=40)
    assert list(lab.claim(free=1)) == [2]
    lab.check()


def check_a_suspect_that_is_set_aside_had_cost_nothing(lab: QueueLab) -> None:
    for number in (1, 2):
        lab.enqueue(number, tenant="a", cost=40)
    for number in (11, 12):
        lab.enqueue(number, tenant="b")
    assert list(lab.claim("victim", free=1)) == [1]
    lab.lapse()
    lab.release(1, lab.claim(free=1)[1], LONGER_MS)
    assert list(lab.claim(free=1)) == [11], "the delivery that was lost stays paid for"
    lab.check()


def check_a_batch_of_a_newer_version_is_fed_by_who_can_read_it(lab: QueueLab) -> None:
    for name in ("newer", "other"):
        lab.open_batch(name, 2)
    assert set(lab.turns("a", code="old")) == {"newer", "other"}
    for _ in range(2):
        assert lab.call("q1_batch_set_aside", "newer", "old") == "ok"
    assert lab.client.hget(f"{PREFIX}batch:newer", "not_for") == "old"
    assert set(lab.turns("a", code="old")) == {"other"}
    assert lab.turns("b", code="old") == {}
    assert set(lab.turns("c", code="new")) == {"newer"}, "while another one feeds the others"
    assert lab.turns("d", code="new") == {}
    lab.check()

    lab.cancel_batch("newer")
    assert lab.turns("c", code="new") == {}
    assert set(lab.turns("a", code="old")) == {"newer", "other"}, "any version can end it"

    assert lab.call("q1_batch_set_aside", "absent", "old") == "ok"
    lab.check()
