"""Client and AsyncClient: they send what `xmdpt_client.conversation` says, and pause when it says so."""

import asyncio
import time
from typing import Any, Self, TypeVar, Unpack

import httpx

from xmdpt_client import calls
from xmdpt_client.calls import Call, Options, check_visible_ascii, submission
from xmdpt_client.conversation import Conversation, Flow, OnProgress
from xmdpt_client.inputs import NewPose, Photo, Pose, Source, StoredPose, StoredSource
from xmdpt_client.values import Generation, Job, Model

DEFAULT_URL = "http://127.0.0.1:8080"

T = TypeVar("T")


class _Settings:
    """What both clients are told, checked."""

    def __init__(self, base_url: str, api_key: str | None, timeout: float, max_retries: int) -> None:
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise ValueError(f"base_url is no address: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"base_url must begin with http:// or https:// and name a host: {base_url!r}")
        if api_key is not None:
            check_visible_ascii("api_key", api_key)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.connection: dict[str, Any] = {"base_url": url, "headers": headers}
        self.conversation = Conversation(max_retries)
        self._timeout = timeout

    def request(self, call: Call) -> dict[str, Any]:
        """Arguments of httpx for a call; the service may be silent for as long as it was asked to wait."""
        return {
            "method": call.method,
            "url": call.path,
            "headers": call.headers,
            "files": call.files or None,
            "data": call.fields or None,
            "timeout": httpx.Timeout(self._timeout, read=self._timeout + call.wait_seconds),
        }


class Client:
    """The service, for programs without an event loop; threads may share one.

    Use it in a `with` block, or call `close`. Every method repeats a call whose connection broke and one that was
    answered 429, 502 or 503, after the time that the service names or growing pauses with jitter.

    Args:
        base_url: where the gateway is, with a path if a proxy puts it below one.
        api_key: sent as `Authorization: Bearer`, if given.
        timeout: longest silence of the service in seconds, besides the waiting that it was asked for.
        max_retries: how often a call is sent again, 0 or more.

    Raises:
        ValueError: address or key can't be one.
        XmdptError: from every method; see `xmdpt_client.errors` for its families.
    """

    def __init__(
        self, base_url: str = DEFAULT_URL, api_key: str | None = None, *, timeout: float = 30.0, max_retries: int = 4
    ) -> None:
        self._settings = _Settings(base_url, api_key, timeout, max_retries)
        self._say = self._settings.conversation
        self._http = httpx.Client(**self._settings.connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def generate(
        self,
        source: Source,
        pose: Pose,
        *,
        wait: float | None = None,
        on_progress: OnProgress | None = None,
        **options: Unpack[Options],
    ) -> Generation:
        """Submit a job, wait for it, fetch its pictures.

        Args:
            source: the person's photo, or one of `upload_source`.
            pose: what is asked for, or one of `upload_pose`.
            wait: seconds to wait at most; None until it has ended.
            on_progress: called about once a second while it is waited for, and once at the end.
            options: see `Options`.

        Raises:
            RequestError: something can't be used; `errors` names the fields.
            JobFailedError: the job has failed.
            JobStateError: somebody has cancelled it.
            WaitOverError: not ended in time; it goes on, `wait` and `result` find it.
            OSError, ValueError, TypeError: source, pose or key can't be used; nothing was sent.
        """
        return self._run(self._say.generate(submission(source, pose, **options), wait, on_progress))

    def submit(self, source: Source, pose: Pose, **options: Unpack[Options]) -> Job:
        """Submit a job and don't wait: when this returns, the service has it on disk. Raises as `generate`."""
        return self._run(self._say.submit(submission(source, pose, **options)))

    def job(self, job_id: str) -> Job:
        """The job as it stands; NotFoundError if there is none."""
        return self._run(self._say.job(job_id))

    def wait(self, job: Job | str, timeout: float | None = None, on_progress: OnProgress | None = None) -> Job:
        """The job once it has ended, whatever became of it.

        Args:
            job: or its id.
            timeout: seconds to wait at most; None until it has ended.
            on_progress: called about once a second, and once at the end.

        Raises:
            WaitOverError: not ended in time.
            NotFoundError: there is no such job.
        """
        return self._run(self._say.wait(job, timeout, on_progress))

    def result(self, job: Job | str) -> Generation:
        """The pictures of a job, or of an id.

        Raises:
            JobFailedError: the job has failed.
            JobStateError: `not_finished`, `cancelled`, or `expired`: deleted after its time.
            NotFoundError: there is no such job.
        """
        return self._run(self._say.result(job))

    def cancel(self, job_id: str) -> Job:
        """End a job: at once while it is queued, with its present step while it runs; an ended one stays as it is."""
        return self._run(self._say.cancel(job_id))

    def upload_source(self, source: Photo, *, warm: bool = False) -> StoredSource:
        """Have the service keep a photo, to be given as `source` as often as wanted.

        Args:
            source: the photo; the same one again is found again.
            warm: have an idle worker encode it now, and wait for that up to 5 s; `is_encoded` tells.

        Raises:
            RequestError: the picture can't be used.
            OverloadedError: `quota_exhausted`: too many are kept.
            OSError, ValueError, TypeError: as `generate`.
        """
        return self._run(self._say.upload_source(calls.upload_source(source, warm=warm)))

    def upload_pose(self, pose: NewPose, *, warm: bool = False) -> StoredPose:
        """Likewise a pose, to be given as `pose`; raises as `upload_source`."""
        return self._run(self._say.upload_pose(calls.upload_pose(pose, warm=warm)))

    def delete_source(self, source: StoredSource | str) -> None:
        """Have the service forget a photo, or the one of an id; accepted jobs go on.

        Raises:
            NotFoundError: there is none, or a repeat of this call found it deleted.
        """
        self._run(self._say.delete(calls.delete_source(_id_of(source))))

    def delete_pose(self, pose: StoredPose | str) -> None:
        """Likewise a pose; raises as `delete_source`."""
        self._run(self._say.delete(calls.delete_pose(_id_of(pose))))

    def models(self) -> tuple[Model, ...]:
        """What is served, with ranges and defaults."""
        return self._run(self._say.models())

    def _run(self, flow: Flow[T]) -> T:
        try:
            exchange = next(flow)
            while True:
                time.sleep(exchange.pause_seconds)
                try:
                    response = self._http.request(**self._settings.request(exchange.call))
                except httpx.RequestError as fault:
                    exchange = flow.throw(fault)
                else:
                    exchange = flow.send(response)
        except StopIteration as end:
            return end.value


class AsyncClient:
    """The service, for asyncio; its methods, arguments and errors are those of `Client`.

    Use it in an `async with` block, or await `close`. A cancelled call leaves its job alone: `cancel` ends it.
    """

    def __init__(
        self, base_url: str = DEFAULT_URL, api_key: str | None = None, *, timeout: float = 30.0, max_retries: int = 4
    ) -> None:
        self._settings = _Settings(base_url, api_key, timeout, max_retries)
        self._say = self._settings.conversation
        self._http = httpx.AsyncClient(**self._settings.connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def generate(
        self,
        source: Source,
        pose: Pose,
        *,
        wait: float | None = None,
        on_progress: OnProgress | None = None,
        **options: Unpack[Options],
    ) -> Generation:
        """See `Client.generate`; `on_progress` is a plain function."""
        call = await asyncio.to_thread(submission, source, pose, **options)
        return await self._run(self._say.generate(call, wait, on_progress))

    async def submit(self, source: Source, pose: Pose, **options: Unpack[Options]) -> Job:
        """See `Client.submit`."""
        call = await asyncio.to_thread(submission, source, pose, **options)
        return await self._run(self._say.submit(call))

    async def job(self, job_id: str) -> Job:
        """See `Client.job`."""
        return await self._run(self._say.job(job_id))

    async def wait(
        self,
        job: Job | str,
        timeout: float | None = None,  # noqa: ASYNC109 - of the waiting, not of the call
        on_progress: OnProgress | None = None,
    ) -> Job:
        """See `Client.wait`."""
        return await self._run(self._say.wait(job, timeout, on_progress))

    async def result(self, job: Job | str) -> Generation:
        """See `Client.result`."""
        return await self._run(self._say.result(job))

    async def cancel(self, job_id: str) -> Job:
        """See `Client.cancel`."""
        return await self._run(self._say.cancel(job_id))

    async def upload_source(self, source: Photo, *, warm: bool = False) -> StoredSource:
        """See `Client.upload_source`."""
        call = await asyncio.to_thread(calls.upload_source, source, warm=warm)
        return await self._run(self._say.upload_source(call))

    async def upload_pose(self, pose: NewPose, *, warm: bool = False) -> StoredPose:
        """See `Client.upload_pose`."""
        call = await asyncio.to_thread(calls.upload_pose, pose, warm=warm)
        return await self._run(self._say.upload_pose(call))

    async def delete_source(self, source: StoredSource | str) -> None:
        """See `Client.delete_source`."""
        await self._run(self._say.delete(calls.delete_source(_id_of(source))))

    async def delete_pose(self, pose: StoredPose | str) -> None:
        """See `Client.delete_pose`."""
        await self._run(self._say.delete(calls.delete_pose(_id_of(pose))))

    async def models(self) -> tuple[Model, ...]:
        """See `Client.models`."""
        return await self._run(self._say.models())

    async def _run(self, flow: Flow[T]) -> T:
        try:
            exchange = next(flow)
            while True:
                await asyncio.sleep(exchange.pause_seconds)
                try:
                    response = await self._http.request(**self._settings.request(exchange.call))
                except httpx.RequestError as fault:
                    exchange = flow.throw(fault)
                else:
                    exchange = flow.send(response)
        except StopIteration as end:
            return end.value


def _id_of(stored: StoredSource | StoredPose | str) -> str:
    return stored if isinstance(stored, str) else stored.id
