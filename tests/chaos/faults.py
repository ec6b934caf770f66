"""Which faults a run does and when: a plan from a seed.

Doing them is `tests.chaos.injector`'s.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What is done to a process."""

    KILL_WORKER = "worker SIGKILL"
    KILL_AT_COMMIT = "worker SIGKILL between picture and finish"
    STOP_WORKER = "worker SIGSTOP"
    STOP_AT_COMMIT = "worker SIGSTOP between picture and finish"
    TERM_WORKER = "worker SIGTERM"
    KILL_QUEUE = "queue SIGKILL"
    KILL_GATEWAY = "gateway SIGKILL"


AT_COMMIT = {Fault.KILL_AT_COMMIT, Fault.STOP_AT_COMMIT}
STOPS = {Fault.STOP_WORKER, Fault.STOP_AT_COMMIT}
KILLS = {Fault.KILL_WORKER, Fault.KILL_AT_COMMIT}

PER_MINUTE: Mapping[Fault, float] = {
    Fault.KILL_WORKER: 15,
    Fault.KILL_AT_COMMIT: 1.5,
    Fault.STOP_WORKER: 2,
    Fault.STOP_AT_COMMIT: 4.5,
    Fault.TERM_WORKER: 5.6,
    Fault.KILL_QUEUE: 3,
    Fault.KILL_GATEWAY: 1.3,
}
"""Three workers bear this: each is disturbed every six seconds."""


@dataclass(frozen=True)
class PlannedFault:
    """One fault to come.

    Attributes:
        at_seconds: after the start of the load.
        dose: 0 .. 1; how long it lasts within what its kind allows.
    """

    at_seconds: float
    kind: Fault
    dose: float


def fault_plan(seed: int, seconds: float, per_minute: Mapping[Fault, float] = PER_MINUTE) -> list[PlannedFault]:
    """Faults over so many seconds, in order of time; each kind at least once, at moments that the seed decides."""
    rng = random.Random(f"faults {seed}")
    faults = [
        PlannedFault(rng.uniform(0, seconds), kind, rng.random())
        for kind, rate in per_minute.items()
        for _ in range(max(1, round(rate * seconds / 60)))
    ]
    return sorted(faults, key=lambda fault: fault.at_seconds)
