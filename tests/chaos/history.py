"""What a run leaves to be judged: what clients saw, events, records, pictures, what workers and faults did.

Plain values; `tests.chaos.rules` judges them, `tests.chaos.figures` counts them. Every time is POSIX seconds of one
computer's clock, unless its name says otherwise.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

TERMINAL = {"job.succeeded": "succeeded", "job.failed": "failed", "job.cancelled": "cancelled"}
"""Events that end a job, and the state that they leave."""
NO_ANSWER = 0
"""In the place of a status: the connection ended before one came."""


@dataclass(frozen=True)
class Wish:
    """What one client wants; its seed is no other's, so that a record tells whose it is.

    Attributes:
        photo: number of one of the photos; likewise pose. A poison photo has a number of its own.
        poison: `crash` or `hang` if its photo kills the worker, else empty.
        key: Idempotency-Key, empty for none.
        doubling: how the submission is repeated under its key: `at once`, `cut`, `later`, `changed`, or not at all.
        cancel: `any moment`, `near the end`, or not at all.
    """

    seed: int
    num_steps: int
    photo: int
    pose: int
    format: str = "png"
    priority: str = "interactive"
    deadline_seconds: float | None = None
    poison: str = ""
    key: str = ""
    doubling: str = ""
    cancel: str = ""
    is_waiting: bool = False


@dataclass(frozen=True)
class Call:
    """One HTTP call and its answer.

    Attributes:
        verb: `submit`, `changed` (another content under a used key), `cut` (hung up before the answer), `status`,
            `cancel` or `result`.
        wait_seconds: that the call asked for.
        code: of the problem, or the name of the client's error where there was no answer.
        job_id: that the answer names; state and sha256 (of a picture) likewise.
    """

    verb: str
    started: float
    seconds: float
    status: int = NO_ANSWER
    code: str = ""
    job_id: str = ""
    state: str = ""
    sha256: str = ""
    wait_seconds: float = 0.0


@dataclass
class Order:
    """A wish and everything that its client was answered."""

    wish: Wish
    calls: list[Call] = field(default_factory=list)

    @property
    def job_ids(self) -> set[str]:
        """Ids that answers to its submissions named: accepted, whatever became of them."""
        return {call.job_id for call in self.calls if call.verb == "submit" and call.job_id}


@dataclass(frozen=True)
class Event:
    """An entry of the queue's stream of events."""

    id: str
    type: str
    job_id: str
    at: float


@dataclass(frozen=True)
class Record:
    """A job's record at the end.

    Attributes:
        fence: of the last delivery; result_fence and sha256 are those of the committed result.
        source_digest: of the accepted photo; likewise pose_digest.
    """

    job_id: str
    state: str
    seed: int
    num_steps: int
    source_digest: str
    pose_digest: str
    deliveries: int
    failures: int
    fence: int
    created_at: float
    ended_at: float | None = None
    deadline_at: float | None = None
    result_fence: int | None = None
    sha256: str = ""
    error_code: str = ""
    is_expired: bool = False


@dataclass(frozen=True)
class Inspection:
    """What lay in the store soon after a job had succeeded.

    Attributes:
        fence: of the file that was found under the record's fence, None if there was none.
        sha256: of its bytes.
        is_picture_right: it shows what the request asks for, derived anew.
    """

    job_id: str
    fence: int | None
    sha256: str
    is_picture_right: bool


@dataclass(frozen=True)
class Deed:
    """A line of a worker's diary: a verb of the queue, for one job, and the answer."""

    at: float
    pid: int
    verb: str
    job_id: str
    fence: int
    verdict: str


@dataclass(frozen=True)
class DoneFault:
    """A fault that was done: when, to which process, and when it was over (running again, or answering again)."""

    kind: str
    at: float
    pid: int
    over_at: float


@dataclass(frozen=True)
class Exit:
    """The end of a process.

    Attributes:
        status: negative for a signal.
        was_told: SIGTERM had been sent to it.
    """

    part: str
    pid: int
    status: int
    at: float
    was_told: bool = False


@dataclass(frozen=True)
class Leftovers:
    """What is still there at the end.

    Attributes:
        live: the queue's count of jobs that have not ended.
        indexed: entries of the indexes of living jobs, by key.
        outputs: (job, fence) of each file of a result; likewise inputs.
        audit: what the service's own auditor complains of.
        deletable: expired jobs that the queue still names to whoever deletes their pictures.
        at: when all of this was read.
    """

    live: int
    indexed: dict[str, int]
    outputs: frozenset[tuple[str, int]]
    inputs: frozenset[str]
    audit: tuple[str, ...] = ()
    deletable: frozenset[str] = frozenset()
    at: float = 0.0


@dataclass(frozen=True)
class Limits:
    """What the rules measure against.

    Attributes:
        max_deliveries: and max_failures, of one job.
        max_answer_seconds: of a call, besides the wait that it asked for.
        drain_seconds: between SIGTERM and the end, at most.
        settle_seconds: between the last fault and the end of the last job, at most.
    """

    lease_seconds: float
    max_deliveries: int
    max_failures: int
    max_answer_seconds: float
    drain_seconds: float
    settle_seconds: float


@dataclass
class History:
    """Everything of one run."""

    limits: Limits
    leftovers: Leftovers
    started: float
    faults_ended: float
    orders: list[Order] = field(default_factory=list)
    seen_events: list[Event] = field(default_factory=list)
    """As they were read while the run went on; `events` are those that the stream holds at the end."""
    events: list[Event] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    inspections: dict[str, Inspection] = field(default_factory=dict)
    deeds: list[Deed] = field(default_factory=list)
    faults: list[DoneFault] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)

    @cached_property
    def events_of(self) -> dict[str, list[Event]]:
        """Events by job, in their order."""
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            found[event.job_id].append(event)
        return found

    @cached_property
    def order_of(self) -> dict[int, Order]:
        """Orders by their seed."""
        return {order.wish.seed: order for order in self.orders}

    @cached_property
    def deeds_of(self) -> dict[str, list[Deed]]:
        """Lines of the diaries by job, in order of time."""
        found: dict[str, list[Deed]] = defaultdict(list)
        for deed in sorted(self.deeds, key=lambda deed: deed.at):
            found[deed.job_id].append(deed)
        return found

    def is_bad_luck(self, job_id: str) -> bool:
        """Whether each delivery of the job lost its worker to a planned fault, as may happen to anybody."""
        claims = [deed for deed in self.deeds_of.get(job_id, ()) if deed.verb == "claim"]
        disturbed = [
            any(fault.pid == claim.pid and fault.over_at >= claim.at for fault in self.faults) for claim in claims
        ]
        return len(claims) >= self.limits.max_deliveries and all(disturbed)

    def windows(self, *kinds: str) -> list[tuple[float, float]]:
        """From when to when faults of these kinds lasted."""
        return [(fault.at, fault.over_at) for fault in self.faults if fault.kind in kinds]
