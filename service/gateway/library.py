"""Sources and poses that are uploaded once and used often.

It decodes no picture, and no job depends on it: an accepted one has its own copy of the pixels.
"""

import asyncio
import secrets
import time
from contextlib import suppress
from typing import Protocol

from service.domain.digest import content_digest, vector_key
from service.domain.errors import DamagedError, NotFoundError, OverloadedError, StorageError
from service.domain.library import KEPT_SECONDS, PICTURE_ID, PREFIXES, NewPicture, PictureKind, StoredPicture
from service.domain.pose import KeyPoints
from service.gateway.patience import queue_answers_within
from service.ports.blobs import BlobStore
from service.ports.library import PictureLibrary
from service.ports.vectors import KnownVectors, VectorWish

# Whoever meets a picture without pixels makes room in the first and has it in the second.
_MAX_TRIES = 3
_MAX_WARM_SECONDS = 5.0
_LOOK_EVERY_SECONDS = 0.05


class Picture(Protocol):
    """A picture as it comes from its decoder."""

    @property
    def pixels(self) -> bytes:
        """uint8 [256,256,3] RGB as 196,608 bytes."""
        ...

    @property
    def width_px(self) -> int:
        """Of the picture as it was sent."""
        ...

    @property
    def height_px(self) -> int:
        """Likewise."""
        ...


class Library:
    """The sources and poses of all tenants, to each of which those of the others are not there."""

    def __init__(self, records: PictureLibrary, blobs: BlobStore, vectors: KnownVectors, model_digest: str) -> None:
        """The model is the one whose vectors are asked for."""
        self._records, self._blobs = records, blobs
        self._vectors, self._model_digest = vectors, model_digest

    async def add(
        self, kind: PictureKind, tenant: str, picture: Picture, key_points: KeyPoints | None = None
    ) -> tuple[StoredPicture, bool]:
        """Keep a picture for a week from its last use on; when this returns, it survives a crash of any process.

        Args:
            kind: what it can be used for.
            tenant: whose it will be.
            picture: the pixels, and the size that they were sent in.
            key_points: what a pose was drawn from.

        Returns:
            The picture, and whether it is new: the tenant's equal one of the same kind is found again, and used.

        Raises:
            OverloadedError: `quota_exhausted`; nothing was kept.
            StorageError: `queue_unavailable` or `storage_unavailable`.
        """
        new = NewPicture(
            f"{PREFIXES[kind]}{secrets.token_hex(16)}",
            kind,
            tenant,
            content_digest(picture.pixels),
            picture.width_px,
            picture.height_px,
            key_points,
        )
        await asyncio.to_thread(self._blobs.put_picture, new.id, picture.pixels)
        # No clean-up if the store does not answer: it may have the record, so the pixels stay until the sweep.
        for _ in range(_MAX_TRIES):
            async with queue_answers_within():
                stored = await self._records.add(new)
            if stored is None:
                await self._delete_pixels(new.id)
                detail = "you keep as many sources and poses as you may: delete some, or wait until some are unused"
                raise OverloadedError("quota_exhausted", detail, KEPT_SECONDS)
            if stored.id == new.id:
                return stored, True
            with suppress(NotFoundError):
                known = await self.find(stored.id, tenant)
                # What lies there may be damaged, and whoever uploads it again may do so for that reason.
                await asyncio.to_thread(self._blobs.put_picture, known.id, picture.pixels)
                await self._delete_pixels(new.id)
                return known, False
            # It has just been deleted; or its pixels are lost, and its record must not keep others out.
            async with queue_answers_within():
                await self._records.delete(stored.id, tenant)
        raise StorageError("storage_unavailable", "others delete the same picture all the time; try again")

    async def find(self, picture_id: str, tenant: str, kind: PictureKind | None = None) -> StoredPicture:
        """The picture, kept for another week from now on.

        Args:
            picture_id: of any form.
            tenant: who asks.
            kind: what it must be good for; None for either.

        Raises:
            NotFoundError: there is none.
            StorageError: `queue_unavailable` or `storage_unavailable`.
        """
        _check_id(picture_id, kind)
        try:
            # Before the record: the sweep must never take a file for older than the record's last use.
            await asyncio.to_thread(self._blobs.touch_picture, picture_id)
        except NotFoundError:
            raise _none_such() from None
        async with queue_answers_within():
            found = await self._records.use(picture_id, tenant)
        if not found:
            raise _none_such()
        return found

    async def pixels(self, stored: StoredPicture) -> bytes:
        """uint8 [256,256,3] RGB as 196,608 bytes.

        Raises:
            NotFoundError: it has been deleted meanwhile.
            StorageError: `storage_unavailable`: the pixels can't be read, or are damaged.
        """
        content = await asyncio.to_thread(self._blobs.get_picture, stored.id)
        if content_digest(content) != stored.digest:
            raise DamagedError("storage_unavailable", "the stored picture is damaged: upload it again")
        return content

    async def has_vector(self, stored: StoredPicture) -> bool:
        """Whether the encoder has seen the picture already: a job with it would not have to wait for that."""
        return await self._vectors.has(vector_key(stored.kind, stored.digest, self._model_digest))

    async def warm(self, stored: StoredPicture) -> bool:
        """`has_vector`, once an idle worker has made it, or 5 s later: no job is put off for it, and it may be lost."""
        give_up_at = time.monotonic() + _MAX_WARM_SECONDS
        is_ready = await self.has_vector(stored)
        if not is_ready:
            await self._vectors.wish(VectorWish(stored.kind, stored.id, stored.digest))
        while not is_ready and time.monotonic() < give_up_at:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            is_ready = await self.has_vector(stored)
        return is_ready

    async def delete(self, picture_id: str, tenant: str, kind: PictureKind | None = None) -> None:
        """Forget a picture; jobs that were accepted with it go on. Arguments as those of `find`.

        Raises:
            NotFoundError: there is none.
            StorageError: `queue_unavailable`.
        """
        _check_id(picture_id, kind)
        async with queue_answers_within():
            was_there = await self._records.delete(picture_id, tenant)
        if not was_there:
            raise _none_such()
        await self._delete_pixels(picture_id)

    async def _delete_pixels(self, picture_id: str) -> None:
        # What this leaves undone, upkeep has been told to do, or the sweep does.
        with suppress(StorageError):
            await asyncio.to_thread(self._blobs.delete_picture, picture_id)


def _check_id(picture_id: str, kind: PictureKind | None) -> None:
    """Anything that is no id of this kind is simply not there."""
    if not PICTURE_ID.fullmatch(picture_id) or not picture_id.startswith(PREFIXES[kind] if kind else ""):
        raise _none_such()


def _none_such() -> NotFoundError:
    """One text for all: whether another tenant has the picture must not show."""
    return NotFoundError("there is no such picture")
