"""Where pictures and batches' items are kept: files, or one bucket that all machines share."""

from collections.abc import Callable
from dataclasses import dataclass

from service.adapters.file_blobs import FileBlobs
from service.adapters.file_manifests import FileManifests
from service.ports.blobs import BlobStore
from service.ports.manifests import ManifestStore
from service.settings import Settings


@dataclass(frozen=True)
class Stores:
    """Both.

    Attributes:
        blobs: the pictures.
        manifests: of batches.
        space: bytes free and in all of the disk that they are on; None if that is not ours to know.
    """

    blobs: BlobStore
    manifests: ManifestStore
    space: Callable[[], tuple[int, int]] | None = None


def open_stores(settings: Settings) -> Stores:
    """As the settings say.

    Raises:
        StorageError: the folders can't be made, or nothing can be written to the bucket.
    """
    where = settings.pictures
    if not where.bucket:
        root = settings.data_dir / "blobs"
        blobs = FileBlobs(root)
        return Stores(blobs, FileManifests(root), blobs.space)
    # Its client is loaded where it is needed only.
    from service.adapters.object_blobs import ObjectBlobs
    from service.adapters.object_manifests import ObjectManifests
    from service.adapters.object_store import ObjectStore

    store = ObjectStore(where.bucket, where.endpoint, where.region)
    store.check_writable()
    return Stores(ObjectBlobs(store), ObjectManifests(store))
