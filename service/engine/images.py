"""The pictures of the flights on the device: to the scheduler each is a job, with a slot and a key of its own.

The first picture of a flight makes what all of them need; then the others join, and take their steps as any other job.
A flight leaves as a whole, with its last picture. Who is told of that is not decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.domain.stage import Stage
from service.engine.flight import Flight
from service.engine.intake import Arrival
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import U8
from service.scheduling.actions import CancelJob, DropJob, EndJob, ReleaseJob, RunBatch
from service.scheduling.events import CancelRequested, JobArrived, LeaseLost
from service.scheduling.scheduler import Scheduler

Exit = EndJob | CancelJob | ReleaseJob | DropJob

# The queue's clock decides what is late; a worker that is a moment early would find no deadline passed there.
_DEADLINE_GRACE_SECONDS = 0.1
_MADE_ONCE = frozenset({Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION})


@dataclass(frozen=True)
class Departure:
    """A flight whose last picture has left.

    Attributes:
        flight: which one.
        how: the first exit of one of its pictures that was no success, else a success.
        pictures: [256,256,3] uint8 RGB each, in the order of their seeds; all of them after a success.
    """

    flight: Flight
    how: Exit
    pictures: Sequence[U8]


@dataclass(eq=False)
class _Party:
    """The pictures of one flight: their keys in order, those at work, and those that are done by index."""

    flight: Flight
    prepared: PreparedJob
    keys: Sequence[str]
    at_work: set[str] = field(default_factory=set[str])
    done: dict[int, U8] = field(default_factory=dict[int, U8])
    num_joined: int = 0
    failure: Exit | None = None


class Images:
    """The pictures of one device; belongs to the loop.

    Attributes:
        num_arrived: pictures that have taken their slots, or never will: what the intake need keep no room for.
    """

    def __init__(self, scheduler: Scheduler, working_set: WorkingSet) -> None:
        """The working set has slots for all that the scheduler offers, and for any one flight."""
        self._scheduler, self._set = scheduler, working_set
        self._parties: dict[str, _Party] = {}  # by the key of each picture at work
        self.num_arrived = 0

    @property
    def num_at_work(self) -> int:
        """Pictures that hold a slot; for any thread."""
        return len(self._parties)

    def flight(self, key: str) -> Flight:
        """Whose picture it is."""
        return self._parties[key].flight

    def is_first(self, key: str) -> bool:
        """Whether it is drawn from the very seed of its job."""
        return self._parties[key].keys[0] == key

    def board(self, arrival: Arrival, now: float) -> None:
        """Begin with the first picture of a flight."""
        flight, at_hand = arrival.flight, arrival.supply.at_hand
        keys = [f"{flight.key}/{index}" for index in range(flight.num_images)]
        party = _Party(flight, arrival.prepared, keys)
        slot = self._join(party, frozenset(at_hand), now)
        for stage, vectors in (
            (Stage.ENCODE_SOURCE, self._set.source_vector),
            (Stage.ENCODE_POSE, self._set.pose_vector),
        ):
            if stage in at_hand:
                vectors[slot] = at_hand[stage]

    def turn_away(self, flight: Flight) -> None:
        """A flight has arrived that is no longer ours."""
        self.num_arrived += flight.num_images

    def follow(self, batch: RunBatch, now: float) -> None:
        """The batch has run well: where it made a condition, the other pictures of the flight join."""
        if batch.stage is not Stage.CONDITION:
            return
        for row in batch.rows:
            party = self._parties[row.job_id]
            condition = self._set.condition[self._set.slot(row.job_id)]
            while party.num_joined < len(party.keys):
                self._set.condition[self._join(party, _MADE_ONCE, now)] = condition

    def cancel(self, flight: Flight, now: float) -> None:
        """Nobody wants them any more."""
        for key in self._keys_of(flight):
            self._scheduler.handle(CancelRequested(key), now)

    def lose(self, flight: Flight, now: float) -> None:
        """They are no longer ours."""
        for key in self._keys_of(flight):
            self._scheduler.handle(LeaseLost(key), now)

    def leave(self, action: Exit, now: float) -> Departure | None:
        """A picture has left the scheduler; returns its flight if that was the last one of it.

        After the first that has not ended well the others are made no further.
        """
        party, picture = self._parties.pop(action.job_id), self._set.remove(action.job_id)
        party.at_work.remove(action.job_id)
        if isinstance(action, EndJob) and not action.failure:
            assert picture is not None, "it has been decoded"
            party.done[party.keys.index(action.job_id)] = picture
        elif party.failure is None:
            party.failure = action
            self.num_arrived += len(party.keys) - party.num_joined
            for key in party.at_work:
                self._scheduler.handle(LeaseLost(key), now)
        if party.at_work:
            return None
        pictures = [picture for _, picture in sorted(party.done.items())]
        return Departure(party.flight, party.failure or action, pictures)

    def _join(self, party: _Party, skipped: frozenset[Stage], now: float) -> int:
        """The next picture takes a slot; returns which."""
        flight, index, key = party.flight, party.num_joined, party.keys[party.num_joined]
        job = flight.job
        slot = self._set.add(key, party.prepared, index)
        self._parties[key] = party
        party.at_work.add(key)
        party.num_joined += 1
        self.num_arrived += 1
        deadline = flight.arrived + job.seconds_left + _DEADLINE_GRACE_SECONDS
        num_steps, is_low = job.request.params.num_steps, party.prepared.is_low
        self._scheduler.handle(
            JobArrived(key, num_steps, skipped, job.is_suspect, job.priority, deadline, is_low=is_low), now
        )
        return slot

    def _keys_of(self, flight: Flight) -> Sequence[str]:
        return [key for key, party in self._parties.items() if party.flight is flight]
