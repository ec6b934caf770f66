"""What a job makes: where its pictures lie and how long each stage took."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PictureFile:
    """One picture as it was stored.

    Attributes:
        sha256: hex digest of the bytes.
        num_bytes: their length.
    """

    sha256: str
    num_bytes: int

    @classmethod
    def of(cls, content: bytes) -> "PictureFile":
        """What is to be known of these bytes."""
        return cls(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True)
class JobResult:
    """The committed result of a job; the bytes are in the blob store under the same fence.

    Attributes:
        fence: of the delivery that finished the job.
        content_type: such as `image/png`.
        files: a picture each, in the order of their seeds.
        model_digest: `sha256:<hex>` of the graphs that made it.
        runtime: what ran them, such as `onnxruntime`.
        stage_seconds: wall time by stage, in the order of the stages: `queue`, then the worker's.
        cache: `hit` or `miss` for `source` and `pose`: whether an encoder had to run for this job.
        precision: what its steps were computed in, such as `fp32`; empty where a version without presets made it.
    """

    fence: int
    content_type: str
    files: tuple[PictureFile, ...]
    model_digest: str
    runtime: str
    stage_seconds: Mapping[str, float]
    cache: Mapping[str, str] = field(default_factory=dict[str, str])
    precision: str = ""
