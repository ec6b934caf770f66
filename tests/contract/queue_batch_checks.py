"""What the queue promises of batches."""

from tests.fakes.queue_lab import COST, FEEDING_MS, PREFIX, RECORD_KEPT_MS, QueueLab, job_id

BATCH, OTHER = f"bat_{1:032x}", f"bat_{2:032x}"
MAX_FED = 200
MAX_CANCELLED = 50


def check_a_batch_ends_with_its_last_item(lab: QueueLab) -> None:
    assert lab.open_batch(BATCH, 3) == ["ok", BATCH]
    assert lab.enqueue(1, item=(BATCH, 0)) == "ok"
    assert lab.enqueue(2, item=(BATCH, 1)) == "ok"
    assert lab.record(1)["custom_id"] == "item-0"
    lab.check()
    fences = lab.claim()
    assert (lab.batch(BATCH)["running"], lab.batch(BATCH)["state"]) == ("2", "running")
    lab.advance(10)
    lab.finish(2, fences[2])
    assert lab.skip(BATCH, 2, "failed") == "ok"
    lab.finish(1, fences[1], "failed")
    assert lab.ends(BATCH) == ["succeeded item-1", "failed item-2", "failed item-0"]
    assert lab.ends(BATCH, after=1, limit=1) == ["failed item-2"]
    batch = lab.batch(BATCH)
    assert (batch["state"], batch["succeeded"], batch["failed"], batch["cancelled"]) == ("completed", "1", "2", "0")
    assert batch["ended_ms"] == str(lab.now) > batch["started_ms"]
    assert batch["cost"] == batch["cost_ended"] == str(3 * COST)
    assert [e["batch"] for _, e in lab.client.xrange(f"{PREFIX}events") if e["type"] == "batch.completed"] == [BATCH]
    assert BATCH in lab.reap()[4], "its manifest may go"
    lab.reap(BATCH)
    lab.check()
    lab.advance(RECORD_KEPT_MS)
    lab.reap()
    assert lab.batch(BATCH) == {}
    assert not [key for key in lab.client.scan_iter(f"{PREFIX}*") if BATCH in key]


def check_open_batches_tell_what_is_left_and_since_when(lab: QueueLab) -> None:
    def told() -> tuple[int, int, int]:
        figures = lab.figures()
        return figures["num_batches"], figures["batch_items_left"], figures["batch_pause_ms"]

    assert told() == (0, 0, 0)
    lab.open_batch(BATCH, 3)
    lab.enqueue(1, item=(BATCH, 0))
    lab.advance(10)
    assert told() == (1, 3, 10)
    lab.finish(1, lab.claim()[1])
    lab.advance(5)
    lab.open_batch(OTHER, 1)
    assert told() == (2, 3, 5), "of the one that has stood still for longer"
    lab.skip(BATCH, 1, "failed")
    lab.advance(1)
    assert told() == (2, 2, 1)
    lab.skip(BATCH, 2, "failed")
    lab.skip(OTHER, 0, "failed")
    assert told() == (0, 0, 0)


def check_each_item_becomes_one_job(lab: QueueLab) -> None:
    lab.open_batch(BATCH, 3)
    assert lab.enqueue(1, item=(BATCH, 1)) == "closed", "not its turn"
    assert lab.enqueue(1, item=(BATCH, 0)) == "ok"
    assert lab.enqueue(1, item=(BATCH, 0)) == "dup"
    lab.finish(1, lab.claim()[1])
    lab.erase(1)
    assert lab.enqueue(1, item=(BATCH, 0)) == "dup", "also once it is forgotten"
    assert lab.ends(BATCH) == ["succeeded item-0"]
    assert lab.skip(BATCH, 0, "failed") == "dup"
    assert lab.skip(BATCH, 2, "failed") == "dup"
    assert lab.batch(BATCH)["failed"] == "0"
    assert lab.enqueue(2, item=(OTHER, 0)) == "closed", "there is no such batch"
    lab.check()


def check_a_refused_item_has_its_turn_again(lab: QueueLab) -> None:
    lab.open_batch(BATCH, 2)
    assert lab.enqueue(1, item=(BATCH, 0), max_live=0) == "full"
    assert lab.enqueue(1, item=(BATCH, 0), max_tenant_live=0) == "quota"
    assert lab.turns() == {BATCH: (0, 2, 100, "")}
    assert lab.enqueue(1, item=(BATCH, 0)) == "ok"
    assert lab.turns() == {BATCH: (1, 1, 99, "")}
    lab.check()


def check_a_batch_leaves_room(lab: QueueLab) -> None:
    lab.enqueue_many(range(1, 31), tenant="other")
    lab.enqueue(31)
    lab.open_batch(BATCH, 500)
    assert lab.turns(max_live=40, max_tenant_live=100)[BATCH][2] == 9
    assert lab.turns(max_live=100, max_tenant_live=5)[BATCH][2] == 4
    assert lab.turns(max_live=10, max_tenant_live=100)[BATCH][2] == 0
    assert lab.turns(max_live=1000, max_tenant_live=1000)[BATCH][2] == MAX_FED
    for index in range(3):
        lab.enqueue(100 + index, item=(BATCH, index))
    assert lab.turns(max_live=1000, max_tenant_live=1000)[BATCH][2] == MAX_FED - 3


def check_one_feeder_at_a_time(lab: QueueLab) -> None:
    assert lab.turns("a") == {}
    lab.open_batch(BATCH, 1)
    assert lab.turns("a")
    assert lab.turns("b") == {}
    lab.advance(1)
    lab.client.pexpire(f"{PREFIX}feeder", FEEDING_MS // 2 - 500)
    assert lab.turns("a")
    assert lab.client.pttl(f"{PREFIX}feeder") > FEEDING_MS // 2, "it has said so again"
    lab.client.delete(f"{PREFIX}feeder")
    assert lab.turns("b")


def check_a_cancelled_batch_ends_all_its_items(lab: QueueLab) -> None:
    lab.open_batch(BATCH, 4)
    for index in range(3):
        lab.enqueue(1 + index, item=(BATCH, index))
    fences = lab.claim(free=1)
    assert lab.cancel_batch(BATCH, "somebody else") == "notfound"
    assert lab.cancel_batch(OTHER) == "notfound"
    assert lab.cancel_batch(BATCH) == lab.cancel_batch(BATCH) == "cancelling"
    assert lab.enqueue(4, item=(BATCH, 3)) == "closed"
    assert lab.turns()[BATCH][3] == "client"
    assert lab.skip(BATCH, 3, "cancelled") == "ok"
    assert lab.batch(BATCH)["state"] == "cancelling"
    lab.check()
    assert lab.finish(1, fences[1]) == "cancelled"
    batch = lab.batch(BATCH)
    assert (batch["state"], batch["cancelled"]) == ("cancelled", "4")
    assert lab.cancel_batch(BATCH) == "cancelled"
    assert lab.turns() == {}
    lab.check()


def check_a_large_batch_is_cancelled_bit_by_bit(lab: QueueLab) -> None:
    lab.open_batch(BATCH, 120)
    for index in range(120):
        lab.enqueue(1 + index, item=(BATCH, index), max_live=1000)
    lab.cancel_batch(BATCH)
    for left in (70, 20, 0):
        lab.turns()
        assert lab.client.scard(f"{PREFIX}batch_live:{BATCH}") == left
    assert lab.batch(BATCH)["state"] == "cancelled"
    lab.check()


def check_what_is_left_at_the_deadline_is_named(lab: QueueLab) -> None:
    lab.open_batch(BATCH, 2, deadline_ms=100)
    lab.enqueue(1, item=(BATCH, 0), deadline_ms=100)
    lab.advance(99)
    assert lab.turns()[BATCH][3] == ""
    lab.advance(1)
    assert lab.turns()[BATCH] == (1, 1, 99, "deadline")
    lab.skip(BATCH, 1, "failed")
    lab.reap()
    assert lab.ends(BATCH) == ["failed item-1", "failed item-0"]
    assert lab.batch(BATCH)["state"] == "completed"
    lab.check()


def check_an_erased_item_counts_as_cancelled(lab: QueueLab) -> None:
    lab.open_batch(BATCH, 1)
    lab.enqueue(1, item=(BATCH, 0))
    assert lab.erase(1) == "erasing"
    lab.reap()
    assert lab.state(1) == "absent"
    assert lab.ends(BATCH) == ["cancelled item-0"]
    lab.check()


def check_open_batches_have_a_bound(lab: QueueLab) -> None:
    assert lab.open_batch(BATCH, 1, max_tenant_open=1)[0] == "ok"
    assert lab.open_batch(OTHER, 1, max_tenant_open=1)[0] == "quota"
    assert lab.open_batch(OTHER, 1, tenant="other", max_open=1)[0] == "full"
    lab.skip(BATCH, 0, "failed")
    assert lab.open_batch(OTHER, 1, max_open=1, max_tenant_open=1)[0] == "ok"
    lab.check()


def check_kept_books_have_a_bound(lab: QueueLab) -> None:
    assert lab.open_batch(BATCH, 3, max_kept=4)[0] == "ok"
    assert lab.open_batch(OTHER, 2, max_kept=4)[0] == "kept"
    assert lab.open_batch(OTHER, 2, max_kept=4, tenant="other")[0] == "ok"
    lab.skip(BATCH, 0, "failed", "failed", "failed")
    assert lab.open_batch(f"bat_{3:032x}", 2, max_kept=4)[0] == "kept", "also those that have ended"
    lab.advance(RECORD_KEPT_MS)
    lab.reap()
    assert lab.open_batch(f"bat_{3:032x}", 2, max_kept=4)[0] == "ok"
    lab.check()


def check_many_cancelled_batches_share_a_call(lab: QueueLab) -> None:
    for number, name in enumerate((BATCH, OTHER)):
        lab.open_batch(name, 40)
        for index in range(40):
            lab.enqueue(1 + 40 * number + index, item=(name, index), max_live=1000)
        lab.cancel_batch(name)
    lab.turns()
    left = sum(lab.client.scard(f"{PREFIX}batch_live:{name}") for name in (BATCH, OTHER))
    assert left == 80 - MAX_CANCELLED


def check_a_key_names_one_batch(lab: QueueLab) -> None:
    assert lab.open_batch(BATCH, 1, key="k", fingerprint="a") == ["ok", BATCH]
    assert lab.open_batch(OTHER, 1, key="k", fingerprint="a") == ["dup", BATCH]
    assert lab.open_batch(OTHER, 1, key="k", fingerprint="b") == ["mismatch", BATCH]
    assert lab.open_batch(BATCH, 1) == ["dup", BATCH]
    assert lab.enqueue_answer(1, key="k", fingerprint="c") == ["mismatch", BATCH]
    assert lab.open_batch(OTHER, 1, tenant="other", key="k", fingerprint="a") == ["ok", OTHER]
    lab.check()


def check_a_batch_is_its_tenants(lab: QueueLab) -> None:
    lab.open_batch(BATCH, 2)
    lab.enqueue(1, item=(BATCH, 0))
    lab.skip(BATCH, 1, "failed")
    assert lab.batch(BATCH, "other") == {}
    assert lab.ends(BATCH, tenant="other") == []
    lab.enqueue(2)
    assert lab.page(batch=BATCH)[0] == [1]
    assert lab.page()[0] == [2, 1]
    assert job_id(1) in lab.client.smembers(f"{PREFIX}batch_live:{BATCH}")
