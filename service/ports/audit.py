"""The queue's books compared with each other: what no crash and no race may ever leave behind.

It mends nothing: a violation is a mistake in the queue itself, to be counted and looked into.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

InvariantKind = Literal[
    "lease", "line", "delay", "deadline", "overdue", "final", "list", "result", "hook", "live", "cost"
]
"""What can be wrong with a job, or with a sum over jobs (the last two).

- lease: running <=> one lease; likewise line (queued <=> one place in line), delay, deadline (live <=> one deadline),
  final (ended <=> its end of retention), list (not being erased <=> one place in its tenant's list);
- overdue: live long past its deadline, in this round and in the one before;
- result: succeeded without a result;
- hook: the first delivery of its webhook has not one place, or another one has, or a delivery is nobody's;
- live, cost: a stored count or sum isn't that of the jobs.
"""


class QueueAudit(Protocol):
    """Read-only; every gateway may run it beside all traffic."""

    async def audit(self) -> Mapping[InvariantKind, Sequence[str]]:
        """One bounded round: ids that break an invariant, of jobs or deliveries, or of tenants and classes for sums.

        To be called each minute: two rounds must be further apart than two leases.

        Raises:
            StorageError: the queue does not answer.
        """
        ...
