"""PersonDetector: processes that find the person in a photo with BlazePose on ONNX Runtime.

The gateway itself loads neither; see `blazepose_process`.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources

from service.adapters.decoder_pool import DecoderPool, Program
from service.adapters.finding_texts import finding_of
from service.adapters.pillow_pool import BYTES_PER_PIXEL, CPU_SECONDS, MAX_DECODED
from service.domain.errors import RequestError
from service.domain.person import Finding
from service.ports.pictures import PictureFormat

# With Pillow, OpenCV, ONNX Runtime and the two models a process takes 0.5 GB of addresses.
_BASE_BYTES = 2**30
# 18 points of two numbers, in px; or a sentence.
_ANSWER_BYTES = 2000


class BlazePosePool(DecoderPool):
    """PersonDetector; a process is started when it is first needed."""

    def __init__(
        self,
        num_processes: int = 1,
        max_pixels: int = 16_800_000,
        max_decoded: int = MAX_DECODED,
        on_crash: Callable[[], object] = lambda: None,
    ) -> None:
        """Set the limits.

        Args:
            num_processes: so many photos are looked at at a time.
            max_pixels: of a photo; from it follows the memory that a process may take.
            max_decoded: after so many photos a process is replaced.
            on_crash: called when one has died or taken too long, from the thread that waited for it.
        """
        memory_bytes = _BASE_BYTES + BYTES_PER_PIXEL * max_pixels
        program = Program(
            "service.adapters.blazepose_process", memory_bytes, CPU_SECONDS, max_decoded, max_answer_bytes=_ANSWER_BYTES
        )
        super().__init__(num_processes, program, on_crash)

    @property
    def version(self) -> str:
        """As the port says."""
        return _version()

    def find(self, content: bytes, name: PictureFormat, size: tuple[int, int]) -> Finding:
        """As the port says."""
        try:
            return finding_of(self.ask(content, name, size).decode())
        except ValueError:
            # It is not what it was started as.
            raise RequestError("image_invalid", "the picture can't be decoded: its decoder went wrong") from None


@cache
def _version() -> str:
    """Over the models and all that is done with them."""
    digest = hashlib.sha256()
    # By its path: to import it would load ONNX Runtime.
    package = resources.files("xmdpt").joinpath("pose_estimation")
    files = [file for folder in (package, package.joinpath("models")) for file in folder.iterdir()]
    for file in sorted(files, key=lambda file: file.name):
        if file.name.endswith((".py", ".onnx")):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
