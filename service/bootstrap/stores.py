"""Where pictures and batches' items are kept: files, or one bucket that all machines share."""

from service.adapters.file_blobs import FileBlobs
from service.adapters.file_manifests import FileManifests
from service.ports.blobs import BlobStore
from service.ports.manifests import ManifestStore
from service.settings import Settings


def open_stores(settings: Settings) -> tuple[BlobStore, ManifestStore]:
    """As the settings say.

    Raises:
        StorageError: the folders can't be made, or nothing can be written to the bucket.
    """
    where = settings.pictures
    if not where.bucket:
        root = settings.data_dir / "blobs"
        return FileBlobs(root), FileManifests(root)
    # Its client is loaded where it is needed only.
    from service.adapters.object_blobs import ObjectBlobs
    from service.adapters.object_manifests import ObjectManifests
    from service.adapters.object_store import ObjectStore

    store = ObjectStore(where.bucket, where.endpoint, where.region)
    store.check_writable()
    return ObjectBlobs(store), ObjectManifests(store)
