"""One job as the checker knows it: what it has seen of it, and what it may still expect.

It judges nothing: `tests.simulation.checker` does.
"""

from dataclasses import dataclass

from service.domain.execution import Execution
from service.domain.job import Priority
from service.domain.stage import Stage
from service.scheduling.events import JobArrived

# What `policy.choose_jobs` states, said a second time: for how many batches a class lets others pass, and how many
# batches of waiting outweigh one step.
LAG = {Priority.INTERACTIVE: 0, Priority.BATCH: 10}
TOGETHER = 3
DECODES = (Stage.DECODE, Stage.DECODE_LOW)
PATIENCE = {Priority.INTERACTIVE: 16, Priority.BATCH: 48}
# Batches that each other job may get in first.
MOST_AHEAD = {Execution.STEPWISE: 3, Execution.WHOLE_LOOP: 4}


@dataclass
class Tracked:
    """A job in flight, as the events and actions so far describe it."""

    arrival: JobArrived
    execution: Execution
    encoders: set[Stage]
    arrived: int
    served: int
    num_served: int = 0
    is_conditioned: bool = False
    num_steps_done: int = 0
    is_decoded: bool = False
    has_shared_a_failure: bool = False
    num_failures: int = 0
    owes_failure: bool = False
    is_lost: bool = False
    is_cancelled: bool = False
    waited: int = 0
    loops_waited: int = 0
    departures: int = 0

    @property
    def expected(self) -> tuple[Stage, int] | None:
        """What its next row must be."""
        missing = [stage for stage in (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE) if stage in self.encoders]
        if missing:
            return missing[0], 0
        if not self.is_conditioned:
            return Stage.CONDITION, 0
        if self.num_steps_done < self.arrival.num_steps:
            if self.execution is Execution.WHOLE_LOOP and not self.arrival.is_low:
                return Stage.SAMPLE, 0
            return Stage.DENOISE_LOW if self.arrival.is_low else Stage.DENOISE, self.num_steps_done
        return None if self.is_decoded else (Stage.DECODE_LOW if self.arrival.is_low else Stage.DECODE, 0)

    @property
    def num_steps_left(self) -> int:
        """Denoising steps not done yet."""
        return self.arrival.num_steps - self.num_steps_done

    @property
    def has_begun(self) -> bool:
        """A batch of it has ended, well or badly; one that could not run was none."""
        return self.num_served > 0 or self.num_failures > 0

    @property
    def must_leave(self) -> bool:
        """Its fate is decided."""
        return self.is_decoded or self.owes_failure or self.is_lost or self.is_cancelled

    def rank(self, is_shortest_first: bool) -> int:
        """Of two jobs that wait for a stage, the one with the lower rank goes first."""
        priority = self.arrival.priority
        if is_shortest_first:
            return self.arrived + self.num_served + PATIENCE[priority] * self.num_steps_left
        return self.served + LAG[priority]

    def most_waited(self, max_slots: int, longest: int, *, is_shortest_first: bool) -> int:
        """Batches of others that may end well before its own turn; no job needs more rows than the longest."""
        others = max_slots - 1 + self.departures
        if is_shortest_first:
            return PATIENCE[self.arrival.priority] * self.num_steps_left + others * (longest + 3)
        return MOST_AHEAD[self.execution] * others + LAG[self.arrival.priority]

    def advance(self, batch_id: int, stage: Stage) -> None:
        """One row of it was done."""
        self.encoders.discard(stage)
        self.is_conditioned |= stage is Stage.CONDITION
        steps_of = {Stage.DENOISE: 1, Stage.DENOISE_LOW: 1, Stage.SAMPLE: self.arrival.num_steps}
        self.num_steps_done += steps_of.get(stage, 0)
        self.is_decoded |= stage in DECODES
        self.has_shared_a_failure, self.num_failures = False, 0
        self.served, self.num_served = batch_id, self.num_served + 1
        self.waited = self.loops_waited = self.departures = 0
