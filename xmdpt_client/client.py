"""Client and AsyncClient: the calls of the service as methods; what is said in them is the conversations'."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Self, Unpack

from xmdpt_client import calls
from xmdpt_client.batch_conversation import BatchReading, OnPrepared
from xmdpt_client.calls import Options, submission
from xmdpt_client.conversation import OnProgress
from xmdpt_client.exchanges import Flow, T
from xmdpt_client.inputs import Matrix, NewPose, Photo, Pose, Source, StoredPose, StoredSource
from xmdpt_client.values import Batch, BatchResult, Generation, Job, JobPage, Model, Picture
from xmdpt_client.wires import AsyncWire, Connection, Wire

DEFAULT_URL = "http://127.0.0.1:8080"


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
        self._connection = Connection(base_url, api_key, timeout, max_retries)
        self._say, self._of_batches = self._connection.conversation, self._connection.batch_conversation
        self._of_strips = self._connection.strip_conversation
        self._http = self._connection.client()

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
            on_progress: called with what changes while it is waited for, as it changes, and once at the end.
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
            on_progress: called with what changes, as it changes, and once at the end.

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

    def jobs(
        self, *, status: str | None = None, batch: Batch | str | None = None, limit: int = 20, cursor: str | None = None
    ) -> JobPage:
        """The jobs of this caller, the newest first.

        Args:
            status: only those that stand so.
            batch: only those that its items have become.
            limit: 1 to 100 jobs at most.
            cursor: `next_cursor` of the page before.
        """
        return self._run(self._say.jobs(status, _id_or_none(batch), limit, cursor))

    def cancel(self, job_id: str) -> Job:
        """End a job: at once while it is queued, with its present step while it runs; an ended one stays as it is."""
        return self._run(self._say.cancel(job_id))

    def batch(
        self,
        items: Sequence[Mapping[str, Any]] | Matrix,
        *,
        on_progress: OnPrepared | None = None,
        **options: Unpack[Options],
    ) -> Batch:
        """Ask for many pictures at once, and don't wait: when this returns, the service has all of it on disk.

        Args:
            items: 1 to 10,000 of them. Each holds the fields of a request (docs/api.md), a name of its own as
                `custom_id` if it is to have one, and `source` and `pose` as `generate` takes them, or as the API does.
                A photo or a skeleton picture that is no upload yet is uploaded, each content once; so is a pose that
                holds one. `crop` may stand in an item, too.
            on_progress: called with the number of items whose pictures the service has, and that of all items; for a
                matrix its sources and poses are counted.
            options: for all items; what an item says itself comes first. `deadline` and `webhook` are for the whole
                batch, which with a webhook may have 1,000 items, or be a matrix.

        Raises:
            RequestError: the batch, or a picture, can't be used, and there is none; an unusable item fails alone.
            OverloadedError: there is no room for it, or too many pictures are kept.
            OSError, ValueError, TypeError: a picture, a pose or the key can't be used; nothing was asked for.
        """
        return self._run(self._of_batches.submit(items, options, on_progress))

    def get_batch(self, batch: Batch | str) -> Batch:
        """The batch as it stands; NotFoundError if there is none."""
        return self._run(self._of_batches.batch(_id_of(batch)))

    def batch_results(self, batch: Batch | str, after: int = 0) -> Iterator[BatchResult]:
        """The items of a batch as they end, until all have; a broken connection is taken up again.

        Args:
            batch: or its id.
            after: `number` of a result that was read before: begins behind it.

        Raises:
            NotFoundError: there is no such batch.
        """
        reading = BatchReading(self._connection.max_retries, _id_of(batch), after)
        with Wire(self._http, self._connection) as wire:
            while (result := wire.run(reading.next())) is not None:
                yield result

    def batch_picture(self, result: BatchResult, index: int = 0) -> Picture:
        """A picture of an item that has ended, of those in its `outputs`; raises as `result`."""
        return self._run(self._of_batches.picture(result, index))

    def cancel_batch(self, batch: Batch | str) -> Batch:
        """End a batch: no more items begin, and those that have end soon; what has ended stays."""
        return self._run(self._of_batches.cancel(_id_of(batch)))

    def strip(
        self,
        source: Source,
        start: NewPose,
        end: NewPose,
        count: int,
        *,
        on_progress: OnPrepared | None = None,
        **options: Unpack[Options],
    ) -> tuple[Picture, ...]:
        """Have a person move from one pose to another: pictures in their order, all from one seed and in one batch.

        Args:
            source: as `generate` takes it.
            start: the first pose, by its key points: `KeyPoints`, a `.json` file, or the API's own object.
            end: the last one, likewise.
            count: 2 .. 100 pictures, with both ends.
            on_progress: called with the number of pictures made, and that of all.
            options: for all pictures; there is one of each pose.

        Raises:
            JobFailedError, JobStateError: one of the pictures was not made.
            RequestError: a pose, the photo or an option can't be used.
            OverloadedError: there is no room for it.
            OSError, ValueError, TypeError: as `generate`; also for a pose without key points.
        """
        return self._run(self._of_strips.make(source, start, end, count, options, on_progress))

    def poses_between(self, start: NewPose, end: NewPose, count: int) -> tuple[Mapping[str, Any], ...]:
        """The poses of such a strip, as `generate` takes them; the service keeps none. Raises as `strip`."""
        return self._run(self._say.poses_between(calls.poses_between(start, end, count)))

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
        with Wire(self._http, self._connection) as wire:
            return wire.run(flow)


class AsyncClient:
    """The service, for asyncio; its methods, arguments and errors are those of `Client`.

    Use it in an `async with` block, or await `close`. A cancelled call leaves its job alone: `cancel` ends it.
    """

    def __init__(
        self, base_url: str = DEFAULT_URL, api_key: str | None = None, *, timeout: float = 30.0, max_retries: int = 4
    ) -> None:
        self._connection = Connection(base_url, api_key, timeout, max_retries)
        self._say, self._of_batches = self._connection.conversation, self._connection.batch_conversation
        self._of_strips = self._connection.strip_conversation
        self._http = self._connection.async_client()

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

    async def jobs(
        self, *, status: str | None = None, batch: Batch | str | None = None, limit: int = 20, cursor: str | None = None
    ) -> JobPage:
        """See `Client.jobs`."""
        return await self._run(self._say.jobs(status, _id_or_none(batch), limit, cursor))

    async def cancel(self, job_id: str) -> Job:
        """See `Client.cancel`."""
        return await self._run(self._say.cancel(job_id))

    async def batch(
        self,
        items: Sequence[Mapping[str, Any]] | Matrix,
        *,
        on_progress: OnPrepared | None = None,
        **options: Unpack[Options],
    ) -> Batch:
        """See `Client.batch`; `on_progress` is a plain function."""
        return await self._run(self._of_batches.submit(items, options, on_progress))

    async def get_batch(self, batch: Batch | str) -> Batch:
        """See `Client.get_batch`."""
        return await self._run(self._of_batches.batch(_id_of(batch)))

    async def batch_results(self, batch: Batch | str, after: int = 0) -> AsyncIterator[BatchResult]:
        """See `Client.batch_results`; it is iterated by `async for`."""
        reading = BatchReading(self._connection.max_retries, _id_of(batch), after)
        async with AsyncWire(self._http, self._connection) as wire:
            while (result := await wire.run(reading.next())) is not None:
                yield result

    async def batch_picture(self, result: BatchResult, index: int = 0) -> Picture:
        """See `Client.batch_picture`."""
        return await self._run(self._of_batches.picture(result, index))

    async def cancel_batch(self, batch: Batch | str) -> Batch:
        """See `Client.cancel_batch`."""
        return await self._run(self._of_batches.cancel(_id_of(batch)))

    async def strip(
        self,
        source: Source,
        start: NewPose,
        end: NewPose,
        count: int,
        *,
        on_progress: OnPrepared | None = None,
        **options: Unpack[Options],
    ) -> tuple[Picture, ...]:
        """See `Client.strip`; `on_progress` is a plain function."""
        return await self._run(self._of_strips.make(source, start, end, count, options, on_progress))

    async def poses_between(self, start: NewPose, end: NewPose, count: int) -> tuple[Mapping[str, Any], ...]:
        """See `Client.poses_between`."""
        call = await asyncio.to_thread(calls.poses_between, start, end, count)
        return await self._run(self._say.poses_between(call))

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
        async with AsyncWire(self._http, self._connection) as wire:
            return await wire.run(flow)


def _id_of(kept: StoredSource | StoredPose | Batch | str) -> str:
    return kept if isinstance(kept, str) else kept.id


def _id_or_none(kept: Batch | str | None) -> str | None:
    return None if kept is None else _id_of(kept)
