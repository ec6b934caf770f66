"""Names of stored blobs, made from ids only: nothing that a caller wrote becomes a path or a key."""

from service.domain.batch import BATCH_ID, BatchId
from service.domain.job import JOB_ID, JobId
from service.domain.library import PICTURE_ID


def checked_job(job_id: JobId) -> JobId:
    """The id; ValueError if it is none."""
    if not JOB_ID.fullmatch(job_id):
        msg = "a job id is job_ and 32 lower-case hex digits"
        raise ValueError(msg)
    return job_id


def checked_picture(picture_id: str) -> str:
    """Likewise of a picture of the library."""
    if not PICTURE_ID.fullmatch(picture_id):
        msg = "a picture's id is src_ or pos_ and 32 lower-case hex digits"
        raise ValueError(msg)
    return picture_id


def checked_batch(batch_id: BatchId) -> BatchId:
    """Likewise of a batch."""
    if not BATCH_ID.fullmatch(batch_id):
        msg = "a batch's id is bat_ and 32 lower-case hex digits"
        raise ValueError(msg)
    return batch_id


def output_name(fence: int, index: int) -> str:
    """Of a delivery's picture with this index, below its job."""
    return f"{fence:d}.{index:d}" if index else f"{fence:d}"


def is_output_of(name: str, fence: int) -> bool:
    """Whether `output_name` made it of this delivery."""
    return name.partition(".")[0] == f"{fence:d}"
