"""The checker's part for batches: their books agree with their jobs, and with one another."""

from collections import Counter
from typing import Any

Records = dict[str, dict[str, str]]
_ENDED = ("succeeded", "failed", "cancelled")


def check_batches(client: Any, prefix: str, jobs: Records) -> None:
    """Every item is unbegun, a live job or ended, and each batch is where its state says."""
    batches = {key.removeprefix(f"{prefix}batch:"): client.hgetall(key) for key in client.scan_iter(f"{prefix}batch:*")}
    for name, batch in batches.items():
        live = client.smembers(f"{prefix}batch_live:{name}")
        ends = client.lrange(f"{prefix}batch_ends:{name}", 0, -1)
        of_it = {job_id: job for job_id, job in jobs.items() if job.get("batch") == name}
        assert live == {job_id for job_id, job in of_it.items() if job["state"] not in _ENDED}
        assert int(batch["cursor"]) == len(live) + len(ends) <= int(batch["total"])
        states = Counter(entry.split(" ")[0] for entry in ends)
        assert {state: int(batch[state]) for state in _ENDED} == {state: states[state] for state in _ENDED}
        assert (
            (len(ends) == int(batch["total"]))
            == (batch["state"] in ("completed", "cancelled"))
            == ("ended_ms" in batch)
        )
        told = {entry.split(" ")[2]: entry.split(" ")[0] for entry in ends if " - " not in entry}
        assert {job_id: job["state"] for job_id, job in of_it.items() if job_id not in live}.items() <= told.items()
    open_ones = {name for name, batch in batches.items() if batch["state"] in ("running", "cancelling")}
    assert set(client.zrange(f"{prefix}batches", 0, -1)) == open_ones
    assert set(client.zrange(f"{prefix}batch_gc", 0, -1)) == set(batches) - open_ones
    counts = Counter(batches[name]["tenant"] for name in open_ones)
    assert {tenant: int(number) for tenant, number in client.hgetall(f"{prefix}open_batches").items()} == counts
