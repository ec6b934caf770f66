"""Runs the service's own auditor of the queue all the time, and once more when everything is at rest.

What it complains of is a violation: `tests.chaos.rules` passes it on.
"""

import asyncio
from contextlib import suppress

from service.adapters.queue_audit import RedisQueueAuditor
from service.domain.errors import StorageError

_PAUSE_SECONDS = 2.0
# Enough for every record of a long run, whatever a round leaves for the next one.
_LAST_ROUNDS = 5


class Auditing:
    """Complaints, each of them once."""

    def __init__(self, auditor: RedisQueueAuditor) -> None:
        """Audits nothing before `run`."""
        self._auditor = auditor
        self._turn = asyncio.Lock()  # One round goes on where the last one ended.
        self.complaints: set[str] = set()

    async def run(self) -> None:
        """Audit beside the load until cancelled; what is overdue after an outage is upkeep's for some seconds."""
        while True:
            with suppress(StorageError):
                await self._audit(unless="overdue")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def finish(self) -> None:
        """Audit everything, at rest."""
        for _ in range(_LAST_ROUNDS):
            await self._audit(unless="")

    async def _audit(self, unless: str) -> None:
        async with self._turn:
            findings = await self._auditor.audit()
        self.complaints |= {f"{kind} {name}" for kind, names in findings.items() if kind != unless for name in names}
