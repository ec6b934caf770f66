"""What the service tells, as frozen values. Reading them from its answers is `xmdpt_client.answers`'."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmdpt_client.errors import JobFailedError

FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})
FINAL_BATCH_STATUSES = frozenset({"completed", "cancelled"})


@dataclass(frozen=True)
class Eta:
    """When a job will have ended, in seconds from the answer that says so.

    Attributes:
        p50_seconds: half of all such jobs have ended by then.
        p90_seconds: nine of ten.
    """

    p50_seconds: float
    p90_seconds: float


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        status: `queued`, `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.
        stage: at work, such as `tdnet_step`; None before the first.
        step: denoising steps done, 0 .. steps.
        steps: of the whole job.
        ratio: step / steps, 0 .. 1.
        eta: None for an ended job, and while the service can't tell.
    """

    status: str
    stage: str | None
    step: int
    steps: int
    ratio: float
    eta: Eta | None


@dataclass(frozen=True)
class Output:
    """One picture of a job.

    Attributes:
        index: from 0.
        content_type: such as `image/png`.
        sha256: hex digest of the file.
        num_bytes: length of the file.
        seed: that drew its noise.
    """

    index: int
    content_type: str
    sha256: str
    num_bytes: int
    seed: int


@dataclass(frozen=True)
class Job:
    """An accepted request, as it stood when the service answered.

    Attributes:
        id: `job_` and 32 hex digits.
        status: as in Progress.
        seed: asked for or drawn; the same request with it gives the same picture.
        position: jobs ahead of it while queued, else 0.
        progress: how far it is.
        outputs: its pictures, once it has succeeded.
        error: why it failed; None unless it did.
        document: the whole job object of docs/api.md, for what has no field here.
    """

    id: str
    status: str
    seed: int
    position: int
    progress: Progress
    outputs: tuple[Output, ...]
    error: JobFailedError | None
    document: Mapping[str, Any] = field(repr=False)

    @property
    def has_ended(self) -> bool:
        """True once nothing about it changes any more."""
        return self.status in FINAL_STATUSES


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        content: the file's bytes.
        content_type: such as `image/png`.
        seed: makes it again, alone.
    """

    content: bytes = field(repr=False)
    content_type: str
    seed: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, over one that is there.

        Raises:
            OSError: the file can't be written.
        """
        Path(path).write_bytes(self.content)


@dataclass(frozen=True)
class Generation:
    """The pictures of a job; without a word of which, the first one is meant.

    Attributes:
        job_id: of the job that made them.
        pictures: at least one, in the order of their seeds.
    """

    job_id: str
    pictures: tuple[Picture, ...]

    @property
    def content(self) -> bytes:
        """The first file's bytes."""
        return self.pictures[0].content

    @property
    def content_type(self) -> str:
        """Of every picture, such as `image/png`."""
        return self.pictures[0].content_type

    @property
    def seed(self) -> int:
        """Makes the first one again; with as many pictures, all of them."""
        return self.pictures[0].seed

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the first file, over one that is there; raises as `Picture.save`."""
        self.pictures[0].save(path)


@dataclass(frozen=True)
class JobPage:
    """Some jobs of the list, the newest first.

    Attributes:
        jobs: without forecasts.
        next_cursor: for the next page; None on the last.
    """

    jobs: tuple[Job, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class BatchCounts:
    """How many items of a batch stand where; `queued` are those that have not begun."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True)
class Batch:
    """Many pictures that were asked for at once, as they stood when the service answered.

    Attributes:
        id: `bat_` and 32 hex digits.
        status: `running`, `cancelling`, `completed` or `cancelled`.
        counts: of its items.
        eta: when all of them will have ended; None once they have, and while the service can't tell.
        document: the whole batch object of docs/api.md.
    """

    id: str
    status: str
    counts: BatchCounts
    eta: Eta | None
    document: Mapping[str, Any] = field(repr=False)

    @property
    def has_ended(self) -> bool:
        """True once all of its items have ended."""
        return self.status in FINAL_BATCH_STATUSES


@dataclass(frozen=True)
class BatchResult:
    """An item of a batch that has ended.

    Attributes:
        number: from 1, in the order of ending; `batch_results` goes on behind it.
        custom_id: its name.
        status: `succeeded`, `failed` or `cancelled`.
        job_id: of the job that it became; None if it never was one.
        outputs: its pictures, if it has succeeded.
        error: why it failed; None unless it did.
        document: the whole line of docs/api.md.
    """

    number: int
    custom_id: str
    status: str
    job_id: str | None
    outputs: tuple[Output, ...]
    error: JobFailedError | None
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class NumberRange:
    """The values that a number may have, both ends included, and the one it has if nothing is said."""

    min: float
    max: float
    default: float


@dataclass(frozen=True)
class Preset:
    """How much of the quality may be given for speed.

    Attributes:
        name: for the field `preset`.
        steps: denoising steps where a request does not say otherwise.
        precision: what they are computed in, such as `fp32` or `int8`.
        psnr_db: of its pictures against those of `exact`, on average; None if it was not measured.
    """

    name: str
    steps: int
    precision: str
    psnr_db: float | None


@dataclass(frozen=True)
class Model:
    """A variant that can be asked for.

    Attributes:
        name: for the field `model`.
        digest: over all its graphs; another digest draws other pictures.
        is_trained: False: its pictures are noise by design.
        steps: denoising steps.
        guidance: scale of classifier-free guidance; 1 is none.
        samplers: names of the update rules.
        presets: that it offers.
        formats: of pictures: `png`, `jpeg`, `webp`.
        size: width and height of a picture, px.
        document: the whole model object of docs/api.md.
    """

    name: str
    digest: str
    is_trained: bool
    steps: NumberRange
    guidance: NumberRange
    samplers: tuple[str, ...]
    presets: tuple[Preset, ...]
    formats: tuple[str, ...]
    size: tuple[int, int]
    document: Mapping[str, Any] = field(repr=False)
