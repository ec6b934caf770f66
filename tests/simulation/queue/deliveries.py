"""What must be true of webhooks, from what their receivers were told and what the queue answered."""

from tests.simulation.queue.history import History, Outbox


def check_deliveries(history: History, outbox: Outbox) -> None:
    """Raise AssertionError unless each wanted change was told at least once, in order, under one id, and was ended.

    Args:
        history: `tell` for each call of a receiver, `settle` for each answer of the queue to what came of it.
        outbox: the events of each job that is kept, in their order.
    """
    erased: set[str] = set()
    last_told: dict[str, int] = {}
    for entry in history.of("erase", "tell"):
        if entry.kind == "erase" and entry.verdict != "notfound":
            erased.add(entry.job)
        elif entry.kind == "tell":
            assert entry.job not in erased, f"{entry} of an erased job"
            assert entry.change >= last_told.get(entry.job, 0), f"{entry} after change {last_told[entry.job]}"
            last_told[entry.job] = entry.change
    wanted = {entry.job: entry.hook for entry in history.of("submit")}
    tells, settles = history.by_job("tell"), history.by_job("settle")
    for job, events in outbox.items():
        changes = [event for event in events if event != "job.expired"]
        due = {number for number, event in enumerate(changes, 1) if event in wanted[job]}
        told = {entry.change for entry in tells[job]}
        ended = {entry.change for entry in settles[job] if entry.verdict == "ended"}
        assert ended <= told <= due, f"{job}: told {told} and ended {ended} of {due}"
        is_disabled = any(entry.verdict == "disabled" for entry in settles[job])
        assert is_disabled or ended == due, f"{job}: ended {ended} of {due}"
