"""What the queue promises of accepting jobs: bounds, clients' keys, and the sums over all jobs."""

import redis

from tests.fakes.queue_lab import QueueLab, job_id

KEY_KEPT_MS = 86_400_000
MAX_RATIOS = 512


def check_bound_holds(lab: QueueLab) -> None:
    assert [lab.enqueue(number, max_live=2) for number in (1, 2, 3)] == ["ok", "ok", "full"]
    assert lab.enqueue(1, max_live=2) == "dup"
    assert lab.state(3) == "absent"
    # A running job is live; an ended one makes room.
    fences = lab.claim()
    assert lab.enqueue(3, max_live=2) == "full"
    lab.finish(1, fences[1])
    assert lab.enqueue(3, max_live=2) == "ok"
    lab.check()


def check_room_is_what_an_enqueue_would_find(lab: QueueLab) -> None:
    for number, tenant in enumerate(("t", "t", "other"), 1):
        lab.enqueue(number, tenant=tenant)
    before = lab.snapshot()
    for tenant, max_live, max_tenant_live, found in (
        ("t", 4, 3, "ok"),
        ("t", 4, 2, "quota"),
        ("other", 4, 2, "ok"),
        ("new", 3, 2, "full"),
    ):
        bounds = {"tenant": tenant, "max_live": max_live, "max_tenant_live": max_tenant_live}
        assert lab.call("q1_room", *bounds.values()) == found
        if found != "ok":
            assert lab.enqueue(4, **bounds) == found
    assert lab.snapshot() == before


def check_a_tenant_has_its_quota(lab: QueueLab) -> None:
    assert [lab.enqueue(number, max_tenant_live=2) for number in (1, 2, 3)] == ["ok", "ok", "quota"]
    assert lab.enqueue(3, max_tenant_live=2, priority="batch") == "quota"
    assert lab.enqueue(4, max_tenant_live=2, tenant="other") == "ok"
    lab.cancel(1)
    assert lab.enqueue(3, max_tenant_live=2) == "ok"
    lab.check()


def check_no_tenants_name_is_taken_for_another_sum(lab: QueueLab) -> None:
    tenants = ("*", "cost:running", "cost:queued:interactive", "tenant:t", "t")
    for number, tenant in enumerate(tenants):
        assert lab.enqueue(number, tenant=tenant, max_live=5, max_tenant_live=1) == "ok"
        lab.check()
    for number, fence in lab.claim().items():
        lab.finish(number, fence)
        lab.check()


def check_what_is_refused_leaves_nothing(lab: QueueLab) -> None:
    lab.enqueue(1)
    before = lab.snapshot()
    assert lab.enqueue(2, max_live=1, key="k", fingerprint="f") == "full"
    assert lab.enqueue(2, max_tenant_live=1, key="k", fingerprint="f") == "quota"
    assert lab.snapshot() == before
    assert lab.enqueue(3, key="k", fingerprint="f") == "ok"


def check_a_key_names_one_job(lab: QueueLab) -> None:
    first = {"key": "k", "fingerprint": "f"}
    assert lab.enqueue_answer(1, **first) == ["ok", job_id(1)]
    before = lab.snapshot()
    assert lab.enqueue_answer(2, **first) == ["dup", job_id(1)]
    assert lab.enqueue_answer(2, **first, max_live=1) == ["dup", job_id(1)], "a repeat asks for no room"
    assert lab.enqueue_answer(2, key="k", fingerprint="g") == ["mismatch", job_id(1)]
    assert lab.snapshot() == before
    assert 0 < lab.client.pttl("{xmdpt}:idem:t:k") <= KEY_KEPT_MS
    assert lab.enqueue_answer(2, **first, tenant="other") == ["ok", job_id(2)], "a tenant's keys are its own"
    lab.finish(1, lab.claim()[1])
    assert lab.enqueue_answer(3, **first) == ["dup", job_id(1)]
    lab.check()


def check_a_full_server_takes_nothing_new_and_empties_itself(lab: QueueLab) -> None:
    for number in (1, 2, 3, 4):
        lab.enqueue(number)
    try:
        lab.client.config_set("maxmemory", 1)
        assert _is_refused(lab, 5)
        fences = lab.claim(free=3)
        assert lab.heartbeat(1, fences[1], 1) == "ok"
        assert lab.finish(1, fences[1]) == "succeeded"
        assert lab.finish(2, fences[2], "retry") == "retry"
        assert lab.release(3, fences[3]) == "queued"
        assert lab.cancel(4) == "cancelled"
        assert lab.reap()[:4] == [0, 0, 0, 0]
        assert lab.stats()["queued"] == 2
        assert _is_refused(lab, 5)
    finally:
        lab.client.config_set("maxmemory", 0)
    assert lab.enqueue(5) == "ok"
    lab.check()


def _is_refused(lab: QueueLab, number: int) -> bool:
    try:
        lab.enqueue(number)
    except redis.ResponseError:
        return True
    return False


def check_forecasts_are_compared_with_what_came(lab: QueueLab) -> None:
    for number, forecast_ms in ((1, 2_000), (2, 0), (3, 2_000)):
        lab.enqueue(number, forecast_ms=forecast_ms)
    fences = lab.claim()
    lab.advance(3_000)
    lab.finish(1, fences[1])
    lab.finish(2, fences[2])
    lab.finish(3, fences[3], "failed")
    assert lab.stats()["forecast_ratios"] == ["1.5"], "only who has a forecast and ended well"
    lab.client.rpush("{xmdpt}:forecast_ratios", *range(MAX_RATIOS))
    lab.enqueue(4, forecast_ms=100)
    fence = lab.claim()[4]
    lab.advance(50)
    lab.finish(4, fence)
    ratios = lab.stats()["forecast_ratios"]
    assert (len(ratios), ratios[0], ratios[-1]) == (MAX_RATIOS, "1", "0.5")


def check_sums_are_exact(lab: QueueLab) -> None:
    for number in (1, 2, 3, 4):
        lab.enqueue(number, priority="batch" if number == 4 else "interactive", cost=10 * number)
    fences = lab.claim(free=3)
    lab.finish(1, fences[1], "retry")
    lab.release(2, fences[2])
    stats = lab.stats()
    assert (stats["queued_cost"], stats["running_cost"]) == ({"interactive": 30, "batch": 40}, 30)
    lab.lapse()
    assert lab.stats()["num_suspects"] == 1
    assert lab.stats()["queued_cost"]["interactive"] == 60
    lab.check()
