"""PictureDecoder: a few processes that decode with Pillow."""

from collections.abc import Callable

from service.adapters.decoder_frames import SIZE, WHOLE
from service.adapters.decoder_pool import DecoderPool, Program
from service.domain.inputs import PICTURE_BYTES
from service.domain.person import Frame
from service.ports.pictures import DecodedPicture, PictureFormat

# A process with Pillow takes 0.1 GB of addresses; a decoder up to 32 bytes a pixel, with the file and what it is turned
# into. With the default limit of pixels it is 1 GiB together.
_BASE_BYTES = 2**29
BYTES_PER_PIXEL = 32
CPU_SECONDS = 5
# Whatever a codec leaks, it leaks for so long. The start of a process takes as much as a few hundred pictures.
MAX_DECODED = 2000


class PillowPool(DecoderPool):
    """PictureDecoder; a process is started when it is first needed, or by `start`."""

    def __init__(
        self,
        num_processes: int = 2,
        max_pixels: int = 16_800_000,
        cpu_seconds: int = CPU_SECONDS,
        max_decoded: int = MAX_DECODED,
        on_crash: Callable[[], object] = lambda: None,
    ) -> None:
        """Set the limits.

        Args:
            num_processes: so many pictures are decoded at a time.
            max_pixels: of a picture; from it follows the memory that a process may take.
            cpu_seconds: of processor time, for one picture.
            max_decoded: after so many pictures a process is replaced.
            on_crash: called when one has died or taken too long, from the thread that decodes.
        """
        memory_bytes = _BASE_BYTES + BYTES_PER_PIXEL * max_pixels
        answer_bytes = SIZE.size + PICTURE_BYTES
        program = Program(
            "service.adapters.pillow_process", memory_bytes, cpu_seconds, max_decoded, max_answer_bytes=answer_bytes
        )
        super().__init__(num_processes, program, on_crash)

    def decode(
        self, content: bytes, name: PictureFormat, size: tuple[int, int], frame: Frame | None = None
    ) -> DecodedPicture:
        """As the port says."""
        answer = self.ask(content, name, size, frame or WHOLE)
        width, height = SIZE.unpack_from(answer)
        return DecodedPicture(answer[SIZE.size :], width, height)
