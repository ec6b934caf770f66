"""Callers: each asks a service for one job at a time, or for many when they are due; what became of it is a record.

The same for all services, and on the same cores as they are.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx

from loadtests.peers.services import WAIT_SECONDS, Job, Service
from loadtests.records import Outcome, Record

# Of one answer; what is later than this is lost.
_TIMEOUT_SECONDS = 300.0
# What a server says that has taken nothing on.
_REFUSALS = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Due:
    """A job of an open loop.

    Attributes:
        job: what to ask for.
        seconds: when, from the start of the loop.
        patience: seconds until its caller hangs up; None: never.
    """

    job: Job
    seconds: float
    patience: float | None = None


class Callers:
    """All callers of one service; use `calling`."""

    def __init__(self, service: Service, client: httpx.AsyncClient) -> None:
        self._service, self._client = service, client
        self._clock = asyncio.get_running_loop().time

    def now(self) -> float:
        """Seconds of the clock that records tell."""
        return self._clock()

    async def call(self, job: Job, due: float | None = None, patience: float | None = None) -> Record:
        """Ask for a job and wait for its end, or hang up once the patience is over.

        Args:
            job: what to ask for.
            due: when this should have begun; default now.
            patience: seconds from now until the caller hangs up.
        """
        sent = self.now()
        try:
            async with asyncio.timeout(patience):
                outcome, code = await self._outcome(job)
        except TimeoutError:
            outcome, code = "cancelled", ""
        kind = "wait" if patience is None else "cancel"
        return Record(sent if due is None else due, sent, self.now(), kind, job.steps, outcome, code)

    async def picture(self, job: Job) -> bytes:
        """The picture file; httpx.HTTPError if there is none."""
        request = await self._request(job)
        response = await self._client.send(request)
        if response.status_code == httpx.codes.ACCEPTED:
            response = await self._follow(response)
        response.raise_for_status()
        if not self._service.converts:
            return self._service.picture(response)
        return await asyncio.to_thread(self._service.picture, response)

    async def one_by_one(self, jobs: Sequence[Job], num_callers: int) -> list[Record]:
        """A closed loop: so many callers, each with the next job once it has its picture."""
        waiting, records = iter(jobs), list[Record]()

        async def caller() -> None:
            for job in waiting:
                records.append(await self.call(job))

        async with asyncio.TaskGroup() as group:
            for _ in range(num_callers):
                group.create_task(caller())
        return records

    async def endlessly(
        self, jobs: Iterable[Job], num_callers: int, patience: float, is_over: Callable[[Sequence[Record]], bool]
    ) -> list[Record]:
        """Likewise until it is over; a caller who gets no picture asks for the next job a moment later.

        Args:
            jobs: enough of them.
            num_callers: at one time.
            patience: seconds of each call.
            is_over: told the records so far, before each job.
        """
        waiting, records = iter(jobs), list[Record]()

        async def caller() -> None:
            while not is_over(records):
                records.append(await self.call(next(waiting), patience=patience))
                if records[-1].outcome != "succeeded":
                    await asyncio.sleep(_PAUSE_SECONDS)

        async with asyncio.TaskGroup() as group:
            for _ in range(num_callers):
                group.create_task(caller())
        return records

    async def when_due(self, stream: Sequence[Due], grace_seconds: float) -> list[Record]:
        """An open loop: each job when it is due, whatever became of those before; times count from there.

        Args:
            stream: by their times.
            grace_seconds: after the last one is due, how long is waited for those that have not ended; then their
                callers hang up, and they are `failed` with the code `given_up`.
        """
        begin = self.now()
        give_up_at = begin + stream[-1].seconds + grace_seconds

        async def ask(each: Due) -> Record:
            due = begin + each.seconds
            record = await self.call(each.job, due, give_up_at - self.now() if each.patience is None else each.patience)
            if each.patience is None and record.outcome == "cancelled":
                return Record(due, record.sent, record.ended, "wait", each.job.steps, "failed", "given_up")
            return record

        tasks = list[asyncio.Task[Record]]()
        async with asyncio.TaskGroup() as group:
            for each in stream:
                await asyncio.sleep(begin + each.seconds - self.now())
                tasks.append(group.create_task(ask(each)))
        return [task.result() for task in tasks]

    async def _outcome(self, job: Job) -> tuple[Outcome, str]:
        try:
            await self.picture(job)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            return ("refused" if status in _REFUSALS else "failed"), f"status_{status}"
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return "refused", "no_connection"
        except httpx.HTTPError as error:
            return "lost", type(error).__name__
        return "succeeded", ""

    async def _request(self, job: Job) -> httpx.Request:
        # Arrays are made and read beside the loop, so that callers don't wait for each other.
        made = (
            await asyncio.to_thread(self._service.request, job)
            if self._service.converts
            else self._service.request(job)
        )
        url = self._client.base_url.join(made.url.raw_path.decode())
        return self._client.build_request(
            made.method, url, content=made.read(), headers={k: v for k, v in made.headers.items() if k != "host"}
        )

    async def _follow(self, accepted: httpx.Response) -> httpx.Response:
        """Ours alone: the job goes on behind its address, whatever became of the connection."""
        urls = accepted.json()["urls"]
        while True:
            job = await self._client.get(urls["self"], headers={"Prefer": f"wait={WAIT_SECONDS}"})
            if job.is_success and job.json()["status"] in ("succeeded", "failed", "cancelled"):
                return await self._client.get(urls["result"])
            await asyncio.sleep(_PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def calling(service: Service, port: int) -> AsyncIterator[Callers]:
    """Callers of a service at a port of this computer."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    address = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(
        base_url=address, timeout=_TIMEOUT_SECONDS, limits=limits, trust_env=False, follow_redirects=True
    ) as client:
        yield Callers(service, client)
