"""One queue under a virtual clock, and the seeded scheduler that decides who acts next and whose answer is lost."""

import heapq
import random
from collections.abc import Callable, Generator
from typing import Any

from tests.fakes.queue_lab import PREFIX, QueueLab, job_id
from tests.simulation.queue.history import History

# An actor is a generator: it acts, then yields the milliseconds until it acts again.
Actor = Generator[int, None, Any]

_LOST_ANSWERS = 0.08
_MAX_REPEAT_DELAY_MS = 4_000


class World:
    """`elapsed_ms` is the time that has really passed; the server's clock is `lab.now`, which may jump."""

    def __init__(self, lab: QueueLab, seed: int) -> None:
        self.lab = lab
        self.random = random.Random(seed)
        self.history = History()
        self.outbox: dict[str, list[str]] = {}
        self.elapsed_ms = 0
        self.disturbed_at_ms = 0  # The last outage, or jump of the server's clock.
        self.set_back_ms = 0  # In all, by how much what was to end at a certain time may last longer.
        self.num_operations = 0
        self.owners: list[str] = []  # Tenant of job 1, of job 2, ...
        self.deleted: set[str] = set()  # Jobs whose pictures upkeep was told to delete.
        self.is_calm = False  # Nothing goes wrong any more, and nothing new comes.
        self._turns: list[tuple[int, float, Actor]] = []
        self._last_event = "-"

    def spawn(self, actor: Actor) -> None:
        self._schedule(actor, self.random.randrange(1_000))

    def run_until(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            at_ms, _, actor = heapq.heappop(self._turns)
            self.pass_time(max(0, at_ms - self.elapsed_ms))
            delay_ms = next(actor, None)
            if delay_ms is not None:
                self._schedule(actor, delay_ms)

    def pass_time(self, ms: int) -> None:
        self.elapsed_ms += ms
        self.lab.advance(ms)

    def set_clock(self, ms: int) -> None:
        """The server's clock jumps ahead, or back."""
        self.lab.advance(ms)
        self.set_back_ms += max(0, -ms)

    def happens(self, probability: float) -> bool:
        """True for a fault that strikes now."""
        return not self.is_calm and self.random.random() < probability

    def ask(self, call: Callable[[], Any], seen: Callable[[Any], None] = lambda _: None) -> Generator[int, None, Any]:
        """Make the call; where its answer is lost, make the same call again after a while.

        Args:
            call: of the queue.
            seen: is shown every answer, as the checker knows the lost ones too.

        Returns:
            the answer that arrived.
        """
        while True:
            self.num_operations += 1
            answer = call()
            seen(answer)
            if not self.happens(_LOST_ANSWERS):
                return answer
            yield self.random.randrange(_MAX_REPEAT_DELAY_MS)

    def note(self, kind: str, number: int, **fields: Any) -> None:
        self.history.note(kind, job_id(number), self.elapsed_ms, self.lab.now, **fields)

    def listen(self) -> None:
        """Read on in the outbox."""
        for event_id, event in self.lab.client.xrange(f"{PREFIX}events", self._last_event):
            self.outbox.setdefault(event["job"], []).append(event["type"])
            self._last_event = f"({event_id}"

    def num_live(self) -> int:
        return int(self.lab.client.hget(f"{PREFIX}live", "*") or 0)

    def records(self) -> dict[str, dict[str, str]]:
        keys = self.lab.client.scan_iter(f"{PREFIX}job:*", count=1000)
        return {key.removeprefix(f"{PREFIX}job:"): self.lab.client.hgetall(key) for key in keys}

    def _schedule(self, actor: Actor, delay_ms: int) -> None:
        # Who comes first at the same moment is as random as everything else.
        heapq.heappush(self._turns, (self.elapsed_ms + delay_ms, self.random.random(), actor))
