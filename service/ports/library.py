"""The records of uploaded sources and poses; their pixels are `service.ports.blobs`'.

Another tenant's picture is as absent as one that is not there.
"""

from typing import Protocol

from service.domain.library import NewPicture, StoredPicture


class PictureLibrary(Protocol):
    """Every method raises StorageError where the store does not answer."""

    async def add(self, picture: NewPicture) -> StoredPicture | None:
        """Keep a record; if the tenant has one of equal kind, digest, size and key points, answer that one, unused.

        None: the tenant has as many pictures as it may.
        """
        ...

    async def use(self, picture_id: str, tenant: str) -> StoredPicture | None:
        """The picture, which is kept for another week from now on; None if there is none."""
        ...

    async def delete(self, picture_id: str, tenant: str) -> bool:
        """Forget the record, and tell upkeep to delete the pixels; False if there is none."""
        ...
