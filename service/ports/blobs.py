"""Bytes by job and fence, or by picture of the library, durable before the record that points to them.

No pictures live in the queue. Calls block; the gateway makes them in a thread.
"""

from typing import Protocol

from service.domain.job import JobId


class BlobStore(Protocol):
    """Input and output bytes; every method raises StorageError where the storage does not answer."""

    def put_input(self, job_id: JobId, content: bytes) -> None:
        """Store a job's pictures; returns only when they would survive a power cut."""
        ...

    def get_input(self, job_id: JobId) -> bytes:
        """What `put_input` stored; NotFoundError if it is gone."""
        ...

    def put_output(self, job_id: JobId, fence: int, content: bytes, index: int = 0) -> None:
        """Store a picture that the delivery `fence` made; returns only when it would survive a power cut."""
        ...

    def get_output(self, job_id: JobId, fence: int, index: int = 0) -> bytes:
        """What `put_output` stored; NotFoundError if it is gone."""
        ...

    def put_preview(self, job_id: JobId, content: bytes) -> None:
        """Replace the job's preview; it need not survive a crash."""
        ...

    def get_preview(self, job_id: JobId) -> bytes:
        """The newest preview; NotFoundError if there is none."""
        ...

    def delete_output(self, job_id: JobId, fence: int) -> None:
        """Forget every picture that one delivery made; absent is fine."""
        ...

    def delete_job(self, job_id: JobId) -> None:
        """Forget everything of a job; absent is fine."""
        ...

    def put_picture(self, picture_id: str, content: bytes) -> None:
        """Store a picture of the library; returns only when it would survive a power cut."""
        ...

    def get_picture(self, picture_id: str) -> bytes:
        """What `put_picture` stored; NotFoundError if it is gone."""
        ...

    def touch_picture(self, picture_id: str) -> None:
        """Make the picture young for the sweep; NotFoundError if it is gone."""
        ...

    def delete_picture(self, picture_id: str) -> None:
        """Forget a picture of the library; absent is fine."""
        ...

    def sweep(self, older_than_seconds: float) -> int:
        """Delete what crashes have left behind and is older than this; returns how many files."""
        ...

    def check_writable(self) -> None:
        """Raise StorageError unless a byte can be written now."""
        ...
