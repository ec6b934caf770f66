"""Typed calls of `lua/library.lua`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect_async
from service.domain.errors import StorageError
from service.domain.library import KEPT_SECONDS, PREFIXES, NewPicture, PictureKind, StoredPicture
from service.domain.pose import KeyPoints, key_points_from_fields


class RedisPictureLibrary:
    """PictureLibrary; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, max_per_tenant: int) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._prefix, self._max_per_tenant = keys.prefix, max_per_tenant

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def add(self, picture: NewPicture) -> StoredPicture | None:
        """As the port says."""
        fields = _fields(picture)
        record = [part for field in fields.items() for part in field]
        limits = _content(picture.kind, fields), self._max_per_tenant
        found = await self._call("q1_picture_add", picture.id, picture.tenant, *limits, *record)
        return _picture(*found[:2]) if found else None

    async def use(self, picture_id: str, tenant: str) -> StoredPicture | None:
        """As the port says."""
        fields = await self._call("q1_picture_use", picture_id, tenant)
        return _picture(picture_id, fields) if fields else None

    async def delete(self, picture_id: str, tenant: str) -> bool:
        """As the port says; a repeat inside the client after a broken connection may turn True into False."""
        return bool(await self._call("q1_picture_delete", picture_id, tenant))

    async def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", await self._client.fcall(function, 1, self._prefix, *arguments))


def _fields(picture: NewPicture) -> Mapping[str, str]:
    points = picture.key_points
    return {
        "digest": picture.digest,
        "width_px": str(picture.width_px),
        "height_px": str(picture.height_px),
        "key_points": json.dumps(asdict(points), separators=(",", ":")) if points else "",
    }


def _content(kind: PictureKind, fields: Mapping[str, str]) -> str:
    """64 hex digits over all that clients see of a picture: with another size or other points it is another one."""
    return hashlib.sha256(json.dumps([kind, *fields.values()]).encode()).hexdigest()


def _picture(picture_id: str, pairs: Sequence[str]) -> StoredPicture:
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    try:
        return StoredPicture(
            id=picture_id,
            kind=next(kind for kind, prefix in PREFIXES.items() if picture_id.startswith(prefix)),
            tenant=fields["tenant"],
            digest=fields["digest"],
            width_px=int(fields["width_px"]),
            height_px=int(fields["height_px"]),
            key_points=_key_points(fields["key_points"]),
            created_at=int(fields["created_ms"]) / 1000,
            expires_at=int(fields["used_ms"]) / 1000 + KEPT_SECONDS,
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise StorageError("queue_unavailable", "a stored picture is not one of this version") from error


def _key_points(text: str) -> KeyPoints | None:
    return key_points_from_fields(json.loads(text)) if text else None
