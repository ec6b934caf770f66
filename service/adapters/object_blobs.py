"""Pictures as objects: `in/<job>`, `out/<job>/<fence>`, `lib/<picture>` and `preview/<job>`, as the files are named.

It knows neither what is in them nor which of them are still needed: the queue says what may go.
"""

from service.adapters.blob_names import checked_job, checked_picture, is_output_of, output_name
from service.adapters.object_store import ObjectStore
from service.domain.job import JobId

_FOLDERS = ("in", "out", "preview", "lib")
# An object can't be made young in its place: it is stored anew, which is not done for each use of a picture.
_YOUNG_SECONDS = 43_200.0


class ObjectBlobs:
    """BlobStore in one bucket, which every gateway and worker can reach."""

    def __init__(self, store: ObjectStore, young_seconds: float = _YOUNG_SECONDS) -> None:
        """Take the bucket.

        Args:
            store: where.
            young_seconds: a picture of the library that is younger is not made younger.
        """
        self._store, self._young_seconds = store, young_seconds

    def put_input(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        self._store.put(f"in/{checked_job(job_id)}", content)

    def get_input(self, job_id: JobId) -> bytes:
        """As the port says."""
        return self._store.get(f"in/{checked_job(job_id)}")

    def put_output(self, job_id: JobId, fence: int, content: bytes, index: int = 0) -> None:
        """As the port says."""
        self._store.put(f"out/{checked_job(job_id)}/{output_name(fence, index)}", content)

    def get_output(self, job_id: JobId, fence: int, index: int = 0) -> bytes:
        """As the port says."""
        return self._store.get(f"out/{checked_job(job_id)}/{output_name(fence, index)}")

    def put_preview(self, job_id: JobId, content: bytes) -> None:
        """As the port says."""
        self._store.put(f"preview/{checked_job(job_id)}", content)

    def get_preview(self, job_id: JobId) -> bytes:
        """As the port says."""
        return self._store.get(f"preview/{checked_job(job_id)}")

    def delete_output(self, job_id: JobId, fence: int) -> None:
        """As the port says."""
        names = self._store.names(f"out/{checked_job(job_id)}")
        self._store.delete(*(name for name in names if is_output_of(name.rpartition("/")[2], fence)))

    def delete_job(self, job_id: JobId) -> None:
        """As the port says; any number of deliveries may have left an output."""
        outputs = self._store.names(f"out/{checked_job(job_id)}")
        self._store.delete(f"in/{job_id}", f"preview/{job_id}", *outputs)

    def put_picture(self, picture_id: str, content: bytes) -> None:
        """As the port says."""
        self._store.put(f"lib/{checked_picture(picture_id)}", content)

    def get_picture(self, picture_id: str) -> bytes:
        """As the port says."""
        return self._store.get(f"lib/{checked_picture(picture_id)}")

    def touch_picture(self, picture_id: str) -> None:
        """As the port says, to half a day: one that is deleted meanwhile may come back, until the sweep."""
        name = f"lib/{checked_picture(picture_id)}"
        if self._store.age_seconds(name) >= self._young_seconds:
            self._store.put(name, self._store.get(name))

    def delete_picture(self, picture_id: str) -> None:
        """As the port says."""
        self._store.delete(f"lib/{checked_picture(picture_id)}")

    def sweep(self, older_than_seconds: float) -> int:
        """As the port says.

        Args:
            older_than_seconds: longer by a day than any job may wait, run and keep its pictures, and than the library
                keeps a picture after its last touch: whatever is older goes.
        """
        return sum(self._store.sweep(folder, older_than_seconds) for folder in _FOLDERS)

    def check_writable(self) -> None:
        """As the port says."""
        self._store.check_writable()
