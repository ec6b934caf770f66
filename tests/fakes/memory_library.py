"""A library in memory, and vectors that are there because a test says so."""

import dataclasses
import time

from service.domain.errors import StorageError
from service.domain.library import KEPT_SECONDS, NewPicture, StoredPicture
from service.ports.vectors import VectorWish


class MemoryLibrary:
    """Keeps records in `pictures` and names of vectors in `vectors`; `is_down` fails every call."""

    def __init__(self, max_per_tenant: int = 1000) -> None:
        self.pictures: dict[str, StoredPicture] = {}
        self.vectors: set[str] = set()
        self.wishes: list[VectorWish] = []
        self.max_per_tenant = max_per_tenant
        self.is_down = False

    def clear(self) -> None:
        """Forget everything and all trouble."""
        self.pictures.clear()
        self.vectors.clear()
        self.wishes.clear()
        self.is_down = False

    async def add(self, picture: NewPicture) -> StoredPicture | None:
        own = [known for known in self._answer().values() if known.tenant == picture.tenant]
        for known in own:
            if _content(known) == _content(picture):
                return known
        if len(own) >= self.max_per_tenant:
            return None
        now = time.time()
        self.pictures[picture.id] = StoredPicture(**vars(picture), created_at=now, expires_at=now + KEPT_SECONDS)
        return self.pictures[picture.id]

    async def use(self, picture_id: str, tenant: str) -> StoredPicture | None:
        found = self._answer().get(picture_id)
        if found is None or found.tenant != tenant:
            return None
        self.pictures[picture_id] = dataclasses.replace(found, expires_at=time.time() + KEPT_SECONDS)
        return self.pictures[picture_id]

    async def delete(self, picture_id: str, tenant: str) -> bool:
        found = self._answer().get(picture_id)
        return found is not None and found.tenant == tenant and bool(self.pictures.pop(picture_id))

    async def has(self, key: str) -> bool:
        return key in self.vectors

    async def wish(self, wish: VectorWish) -> None:
        self.wishes.append(wish)

    def _answer(self) -> dict[str, StoredPicture]:
        if self.is_down:
            raise StorageError("queue_unavailable", "scripted outage")
        return self.pictures


def _content(picture: NewPicture) -> tuple[object, ...]:
    return picture.kind, picture.digest, picture.width_px, picture.height_px, picture.key_points
