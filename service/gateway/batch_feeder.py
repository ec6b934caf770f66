"""Makes jobs of the items of batches, a few at a time, so that no batch fills the queue.

Every gateway runs it; the queue lets one of them feed. What a crash interrupts is begun again: an item has its job's id
from the start, and the queue takes each item once, in the manifest's order.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from service.domain.batch import BatchId, ItemFailure, job_id_of_item
from service.domain.errors import (
    DamagedError,
    NewerVersionError,
    NotFoundError,
    RequestError,
    ServiceError,
    StorageError,
)
from service.domain.inputs import pack_inputs, unpack_inputs
from service.domain.job import BatchPlace, JobStatus, NewJob
from service.domain.library import PictureKind
from service.gateway.batch_items import BatchItem, ItemPose, item_from_line, item_to_end_from_line
from service.gateway.jobs import new_job
from service.gateway.library import Library
from service.gateway.models import ServedModel
from service.gateway.pose_presets import POSE_PRESETS, preset
from service.gateway.poses import draw_pose
from service.gateway.submission import Submission
from service.ports.batches import BatchBooks, FeedingTurn, SkippedItem
from service.ports.blobs import BlobStore
from service.ports.manifests import ManifestPlace, ManifestStore
from service.ports.queue import JobIntake
from service.telemetry.logs import get_logger
from service.telemetry.metrics import GatewayMetrics

LEASE_SECONDS = 3.0
_PAUSE_SECONDS = 0.25
_FAULT_PAUSE_SECONDS = 1.0
# So many items are prepared at one time: each takes 400 kB and waits for a disk. The threads that do so are those of
# every other call, of which there are five at least: those calls must find some free.
_MAX_PREPARED = 4
# So many end with one call that are not to become jobs.
_MAX_SKIPPED = 200
_LOST = ItemFailure("input_lost", "what this item asked for can no longer be read")
_OVERDUE = ItemFailure("deadline_exceeded", "the item had not begun by the batch's deadline")


@dataclass(frozen=True)
class _Place:
    """Where an item's line begins, by the item's place in the manifest."""

    cursor: int
    offset: int


_START = _Place(0, 0)


class BatchFeeder:
    """Feeds all batches of one queue; `run` goes on until it is cancelled."""

    def __init__(
        self,
        books: BatchBooks,
        manifests: ManifestStore,
        intake: JobIntake,
        blobs: BlobStore,
        library: Library,
        model: ServedModel,
        metrics: GatewayMetrics,
    ) -> None:
        self._books, self._manifests, self._intake, self._blobs = books, manifests, intake, blobs
        self._library, self._model, self._metrics = library, model, metrics
        self._name = secrets.token_hex(8)
        self._woken = asyncio.Event()
        # Of the next item by batch; what is not known is found again from the start.
        self._places: dict[BatchId, _Place] = {}

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    async def run(self) -> None:
        """Feed four times a second and whenever woken; outages are waited out."""
        while True:
            self._woken.clear()
            try:
                is_busy = await self.feed()
                pause_seconds = 0.0 if is_busy else _PAUSE_SECONDS
            except StorageError as error:
                self._metrics.count_outage(error)
                pause_seconds = _FAULT_PAUSE_SECONDS
            except Exception:
                # Without this duty batches would stand still, and nobody would learn of it.
                get_logger().exception("feeding_failed")
                pause_seconds = _FAULT_PAUSE_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._woken.wait()

    async def feed(self) -> bool:
        """One round over all batches, a few items of each; whether there is more to do at once.

        Raises:
            StorageError: queue or storage do not answer, for one batch at least.
        """
        turns = await self._books.turns(self._name, LEASE_SECONDS)
        self._places = {turn.batch_id: self._places.get(turn.batch_id, _START) for turn in turns}
        is_busy, trouble = False, None
        for turn in turns:
            try:
                if turn.ending:
                    await self._end_some(turn, turn.ending)
                    is_busy = True
                elif turn.room:
                    is_busy |= await self._begin_or_leave(turn)
            except StorageError as error:
                # One file that can't be read must not hold up the other batches.
                trouble = trouble or error
        if trouble:
            raise trouble
        return is_busy

    async def _begin_or_leave(self, turn: FeedingTurn) -> bool:
        """Make jobs of the next items, or leave the batch to gateways of a newer version if only they can."""
        try:
            return await self._begin_some(turn)
        except NewerVersionError as error:
            get_logger().warning("batch_left_to_newer_version", batch_id=turn.batch_id, detail=error.detail)
            await self._books.set_aside(turn.batch_id)
            return False

    async def _begin_some(self, turn: FeedingTurn) -> bool:
        """Make jobs of the next items; whether there is room for more of them."""
        items, place = await self._read(turn, min(turn.room, _MAX_PREPARED), item_from_line)
        prepared = await asyncio.gather(*(self._job_of(turn, index, item) for index, item in enumerate(items)))
        skipped: list[SkippedItem] = []
        for index, job in enumerate(prepared):
            if isinstance(job, SkippedItem):
                skipped.append(job)
                continue
            await self._skip(turn, index - len(skipped), skipped)
            skipped = []
            if (await self._intake.enqueue(job)).verdict not in ("ok", "dup"):
                # No room after all, or no more of the batch is wanted: the next turn tells.
                return False
        await self._skip(turn, len(prepared) - len(skipped), skipped)
        self._places[turn.batch_id] = place
        return len(items) < min(turn.room, turn.num_left)

    async def _skip(self, turn: FeedingTurn, index: int, items: Sequence[SkippedItem]) -> None:
        if items:
            await self._books.skip(turn.batch_id, turn.cursor + index, items)

    async def _end_some(self, turn: FeedingTurn, ending: Literal["cancelled", "overdue"]) -> None:
        """The next items end without ever being jobs."""
        items, place = await self._read(turn, _MAX_SKIPPED, item_to_end_from_line)
        for index, item in enumerate(items):
            # Pictures that came with the call, or that were stored for a job which then found no room.
            if item.failure is None and (item.source_id is None or index < _MAX_PREPARED):
                await asyncio.to_thread(self._blobs.delete_job, job_id_of_item(turn.batch_id, item.number))
        await self._books.skip(turn.batch_id, turn.cursor, [_ended(item, ending) for item in items])
        self._places[turn.batch_id] = place

    async def _read(
        self, turn: FeedingTurn, limit: int, from_line: Callable[[bytes], BatchItem]
    ) -> tuple[Sequence[BatchItem], _Place]:
        """The next items, and where those after them are."""
        limit = min(limit, turn.num_left)
        known = self._places[turn.batch_id]
        known = known if known.cursor <= turn.cursor else _START
        start = ManifestPlace(known.offset, turn.cursor - known.cursor)
        try:
            lines, offset = await asyncio.to_thread(self._manifests.read, turn.batch_id, start, limit)
            items = [from_line(line) for line in lines]
            if not items:
                raise NotFoundError("the manifest ends before its batch does")
        except (NotFoundError, ValueError):
            # Whoever lost the file must learn of it, and other batches must go on.
            get_logger().exception("manifest_lost", batch_id=turn.batch_id)
            numbers = range(turn.cursor, turn.cursor + limit)
            return [BatchItem(number, f"item-{number}", failure=_LOST) for number in numbers], _START
        return items, _Place(turn.cursor + len(items), offset)

    async def _job_of(self, turn: FeedingTurn, index: int, item: BatchItem) -> NewJob | SkippedItem:
        """The job with its pictures stored, or why there is none; StorageError: nothing can be said now."""
        if item.failure or item.options is None:
            return SkippedItem(item.custom_id, JobStatus.FAILED, item.cost, item.failure or _LOST)
        job_id = job_id_of_item(turn.batch_id, item.number)
        found_pose = None
        try:
            if item.source_id is None:
                found_pose = item.pose.key_points if item.pose else None
                photo, skeleton = unpack_inputs(await asyncio.to_thread(self._blobs.get_input, job_id))
            else:
                photo = await self._stored(item.source_id, "source", turn.tenant)
                skeleton = await self._skeleton(item.pose or ItemPose(), turn.tenant)
                await asyncio.to_thread(self._blobs.put_input, job_id, pack_inputs(photo, skeleton))
        except DamagedError:
            return SkippedItem(item.custom_id, JobStatus.FAILED, item.cost, _LOST)
        except StorageError:
            raise
        except ValueError:
            # Of another version, or damaged.
            get_logger().exception("item_lost", batch_id=turn.batch_id, custom_id=item.custom_id)
            return SkippedItem(item.custom_id, JobStatus.FAILED, item.cost, _LOST)
        except ServiceError as error:
            issues = tuple((issue.pointer, issue.detail) for issue in error.issues)
            failure = ItemFailure(error.code, error.detail, issues) if issues else _LOST
            return SkippedItem(item.custom_id, JobStatus.FAILED, item.cost, failure)
        submission = Submission(photo, skeleton, item.options, found_pose)
        place = BatchPlace(turn.batch_id, turn.cursor + index, item.custom_id)
        job = new_job(job_id, submission, turn.tenant, self._model)
        return replace(job, batch=place, deadline_seconds=turn.seconds_left, webhook=turn.webhook, trace=turn.trace)

    async def _stored(self, picture_id: str, kind: PictureKind, tenant: str) -> bytes:
        """Pixels of the library's picture, which may have been deleted since the batch was accepted."""
        try:
            return await self._library.pixels(await self._library.find(picture_id, tenant, kind))
        except NotFoundError:
            detail = "was deleted before the item began"
            raise RequestError.of_field("validation", f"/{kind}/id", detail) from None

    async def _skeleton(self, pose: ItemPose, tenant: str) -> bytes:
        if pose.pose_id:
            return await self._stored(pose.pose_id, "pose", tenant)
        if pose.preset and pose.preset not in POSE_PRESETS:
            raise NewerVersionError("a pose of the manifest is a preset of a newer version")
        key_points = preset(pose.preset).key_points if pose.preset else pose.key_points
        if key_points is None:
            raise NotFoundError("the item has no pose")
        return await asyncio.to_thread(draw_pose, key_points)


def _ended(item: BatchItem, ending: Literal["cancelled", "overdue"]) -> SkippedItem:
    if ending == "cancelled":
        return SkippedItem(item.custom_id, JobStatus.CANCELLED, item.cost)
    return SkippedItem(item.custom_id, JobStatus.FAILED, item.cost, item.failure or _OVERDUE)
