"""The checker's part for lists and histories: each job is in both as long as it should be, and they agree with it."""

from typing import Any

MAX_HISTORY = 64
# What a client sees of a job and what only changes with its state.
_STEADY = (
    *("state", "deliveries", "started_ms", "ended_ms", "expires_ms", "retry_ms", "result", "error_code"),
    "error_detail",
)
Records = dict[str, dict[str, str]]


def check_lists(client: Any, prefix: str, jobs: Records) -> None:
    """Every job that is not being erased stands in its tenant's list, and nothing else does."""
    expected: dict[str, dict[str, float]] = {}
    for name, job in jobs.items():
        if "erase" not in job:
            expected.setdefault(f"{prefix}listed:{job['tenant']}", {})[name] = float(job["seq"])
    found = {key: dict(client.zrange(key, 0, -1, withscores=True)) for key in client.scan_iter(f"{prefix}listed:*")}
    assert found == expected


def check_histories(client: Any, prefix: str, jobs: Records) -> None:
    """Every job has one, without a gap, whose newest change is how the job stands."""
    keys = {key.removeprefix(f"{prefix}history:") for key in client.scan_iter(f"{prefix}history:*")}
    assert keys == set(jobs)
    for name, job in jobs.items():
        changes = client.xrange(f"{prefix}history:{name}")
        newest, last = changes[-1]
        end = int(newest.removeprefix("0-")) + 1
        assert [entry for entry, _ in changes] == [f"0-{number}" for number in range(max(1, end - MAX_HISTORY), end)]
        told = _STEADY
        if "not_for" in job and job["state"] in ("queued", "delayed"):
            # Only the first pause of a job that was set aside is told.
            assert last["state"] in ("queued", "delayed")
            told = tuple(field for field in _STEADY if field not in ("state", "retry_ms"))
        assert {field: last.get(field) for field in told} == {field: job.get(field) for field in told}
