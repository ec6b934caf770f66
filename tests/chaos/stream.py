"""The queue's stream of events, read while the run goes on: whoever waits for a job's next event is woken.

It judges nothing; after an outage of the queue it goes on where it was.
"""

import asyncio
import time
from collections import defaultdict

import redis.asyncio
from redis.exceptions import RedisError

from tests.chaos.history import TERMINAL, Event

_BLOCK_MS = 500
_PAUSE_SECONDS = 0.05
_GLANCE_SECONDS = 0.01
_PAGE = 5000


class EventStream:
    """Every event so far, and the last one of each job."""

    def __init__(self, client: redis.asyncio.Redis, key: str) -> None:
        """Reads nothing before `run`.

        Args:
            client: this stream's own.
            key: of the stream.
        """
        self._client, self._key = client, key
        self.events: list[Event] = []
        self.succeeded: asyncio.Queue[str] = asyncio.Queue()
        """Jobs in the order in which they succeeded."""
        self._moments: dict[str, dict[str, float]] = defaultdict(dict)
        self._news: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Read until cancelled."""
        last = "0"
        while True:
            try:
                answer = await self._client.xread({self._key: last}, count=_PAGE, block=_BLOCK_MS)
            except (RedisError, OSError):
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            for _, entries in answer or ():
                for entry_id, fields in entries:  # pyright: ignore[reportGeneralTypeIssues]
                    last = entry_id
                    self._note(to_event(entry_id, fields))

    async def wait_for(self, job_id: str, types: set[str], seconds: float) -> bool:
        """Wait until the job has had an event of these types, or has ended; False if the time was over first."""
        news = self._news.setdefault(job_id, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                while not self._moments[job_id].keys() & types and not self.has_ended(job_id):
                    news.clear()
                    await news.wait()
        except TimeoutError:
            return False
        return True

    async def wait_for_start(self, job_id: str, after: float, seconds: float) -> bool:
        """Wait until the job has started later than `after`, or has ended; False if the time was over first."""
        give_up_at = time.monotonic() + seconds
        while self._moments[job_id].get("job.started", 0.0) <= after and not self.has_ended(job_id):
            if time.monotonic() > give_up_at:
                return False
            await asyncio.sleep(_GLANCE_SECONDS)
        return True

    def has_ended(self, job_id: str) -> bool:
        """True once a terminal event of the job was read."""
        return bool(self._moments[job_id].keys() & TERMINAL.keys())

    def run_seconds(self, job_id: str) -> float | None:
        """From its last start to its success; None unless both were read."""
        moments = self._moments[job_id]
        if not {"job.started", "job.succeeded"} <= moments.keys():
            return None
        return moments["job.succeeded"] - moments["job.started"]

    def num_living(self) -> int:
        """Jobs that were queued and have not ended, as far as the stream was read."""
        return sum("job.queued" in self._moments[job_id] and not self.has_ended(job_id) for job_id in self._moments)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._moments[event.job_id][event.type] = event.at
        if event.type == "job.succeeded":
            self.succeeded.put_nowait(event.job_id)
        if news := self._news.get(event.job_id):
            news.set()


async def read_all(client: redis.asyncio.Redis, key: str) -> list[Event]:
    """Everything that the stream holds."""
    events: list[Event] = []
    start = "-"
    while entries := await client.xrange(key, start, "+", count=_PAGE):
        events += [to_event(entry_id, fields) for entry_id, fields in entries]
        start = f"({entries[-1][0]}"
    return events


def to_event(entry_id: str, fields: dict[str, str]) -> Event:
    """An entry as the queue wrote it."""
    return Event(entry_id, fields["type"], fields["job"], int(fields["at"]) / 1000)
