"""Webhooks as the gateway needs them: planned deliveries, the secrets that sign them, and a way to a receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.batch import Batch
from service.domain.job import Job
from service.domain.trace_context import TraceContext
from service.domain.webhook import Receiver

EndOutcome = Literal["ended", "disabled"]


@dataclass(frozen=True)
class Delivery:
    """One change that one receiver is to be told, and the right to try that now.

    Attributes:
        id: `msg_...`, the same in all tries.
        num_tries: with this one; also the fence of it.
        event: its type.
        at: POSIX seconds of the change.
        url: the receiver's.
        about: the job, as a client saw it after the change; or the batch.
        trace: the trace that this belongs to, if there is one.
    """

    id: str
    num_tries: int
    event: str
    at: float
    url: str
    about: Job | Batch
    trace: TraceContext | None = None


class WebhookQueue(Protocol):
    """What is to be told; every method raises StorageError where the queue does not answer."""

    async def plan(self) -> bool:
        """Make deliveries of what has happened, each once for all time; False when nothing is left to look at."""
        ...

    async def claim(self, limit: int) -> Sequence[Delivery]:
        """Take deliveries whose time has come.

        Never two of one job at a time, and of one receiver a few. What is neither ended nor put off within the lease is
        given again.
        """
        ...

    async def end(self, delivery: Delivery, outcome: EndOutcome) -> None:
        """Nobody tries it any more, and the job's next one has its turn; `disabled`: nor any other of its job."""
        ...

    async def put_off(self, delivery: Delivery, seconds: float) -> None:
        """Try it again after this long."""
        ...

    async def secrets(self, tenant: str) -> Sequence[str]:
        """The tenant's one or two that are good, made if there is none."""
        ...


class SecretRegister(Protocol):
    """The operator's side; both raise StorageError where the queue does not answer."""

    def secrets(self, tenant: str) -> Sequence[str]:
        """As of `WebhookQueue`, the present one first."""
        ...

    def rotate(self, tenant: str) -> Sequence[str]:
        """Make a new one; the present one stays good for a day, and the one before it ends."""
        ...


class Resolver(Protocol):
    """Names of hosts."""

    async def addresses(self, host: str, port: int) -> Sequence[str] | None:
        """All addresses of a host, IPv4 or IPv6; empty if it has none, None if nobody can say so now."""
        ...


@dataclass(frozen=True)
class ReceiverAnswer:
    """What came of a call.

    Attributes:
        status: of HTTP; 0 if nothing usable was answered.
        retry_after_seconds: as the receiver says with a 429 or 503, None if it does not.
        is_blocked: nothing was sent, as the address may not be called.
        detail: in a few words, for the log.
    """

    status: int = 0
    retry_after_seconds: float | None = None
    is_blocked: bool = False
    detail: str = ""


class WebhookSender(Protocol):
    """Calls receivers."""

    async def send(self, receiver: Receiver, headers: Sequence[tuple[str, str]], body: bytes) -> ReceiverAnswer:
        """POST the body once; never raises for what a receiver or the network does, and never takes long."""
        ...
