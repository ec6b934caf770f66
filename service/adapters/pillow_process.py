"""The process that makes pixels of picture files: `python -m service.adapters.pillow_process MEMORY CPU_SECONDS`."""

from PIL import Image

from service.adapters.decoder_frames import SIZE
from service.adapters.decoder_process import serve
from xmdpt.preprocess import Frame, to_photo, upright_size


def decoded(image: Image.Image, frame: Frame | None) -> bytes:
    """The size of the upright picture, or of the frame, in whole px; then the pixels of the square."""
    pixels = to_photo(image, frame)
    width, height = upright_size(image) if frame is None else (max(1, round(side)) for side in frame[2:])
    return SIZE.pack(width, height) + pixels.tobytes()


if __name__ == "__main__":
    serve(decoded)
