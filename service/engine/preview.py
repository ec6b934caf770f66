"""A rough picture of latents without the decoder: each latent pixel becomes a colour by a linear map.

When previews are made is not decided here (`service.engine.previews`).
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from service.ports.backend import F32, InferenceBackend
from xmdpt.spec import IMAGE_SIZE, LATENT_SHAPE

_SIDE_PX = 128
_JPEG_QUALITY = 80
_NUM_CHANNELS, _LATENT_SIDE, _ = LATENT_SHAPE
_SCALE = IMAGE_SIZE // _LATENT_SIDE
# Latent pixels of one value side by side: decoders see edges and areas, as in a picture, and not grain.
_BLOCK = 4
# Half of what latents have: less of the picture is cut off at black and white, which no linear map follows.
_SPREAD = np.float32(0.5)
_SEED = 0


@dataclass(frozen=True)
class PreviewProjection:
    """How a decoder's colours follow from its latents, roughly.

    Attributes:
        weights: [5,3] float32; from the four channels and a constant 1 to RGB 0..255.
    """

    weights: F32

    def picture(self, denoised: F32) -> bytes:
        """Return a JPEG file of 128 x 128 px.

        Args:
            denoised: [4,32,32] float32, what a step expects the latents to become.
        """
        colours = np.clip(_rows(denoised) @ self.weights, 0, 255).astype(np.uint8)
        small = Image.fromarray(colours.reshape(_LATENT_SIDE, _LATENT_SIDE, 3))
        buffer = io.BytesIO()
        small.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=_JPEG_QUALITY)
        return buffer.getvalue()


def fit_preview(backend: InferenceBackend) -> PreviewProjection:
    """Decode random areas of colour once, and fit the map by least squares.

    Raises:
        BackendError: the decoder can't run.
    """
    blocks = np.random.Generator(np.random.Philox(key=_SEED)).standard_normal(
        (_NUM_CHANNELS, _LATENT_SIDE // _BLOCK, _LATENT_SIDE // _BLOCK), dtype=np.float32
    )
    latents = (_SPREAD * blocks).repeat(_BLOCK, axis=1).repeat(_BLOCK, axis=2)
    picture = backend.decode(latents[None])[0].astype(np.float32)
    means = picture.reshape(_LATENT_SIDE, _SCALE, _LATENT_SIDE, _SCALE, 3).mean(axis=(1, 3)).reshape(-1, 3)
    return PreviewProjection(np.linalg.lstsq(_rows(latents), means, rcond=None)[0])


def _rows(latents: F32) -> F32:
    """One row a latent pixel: its channels and a 1."""
    rows = np.ones((_LATENT_SIDE**2, _NUM_CHANNELS + 1), np.float32)
    rows[:, :-1] = latents.reshape(_NUM_CHANNELS, -1).T
    return rows
