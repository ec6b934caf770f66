"""No networks: calls last as long as they are told to, and the picture proves what made it.

It pretends no quality: the pictures are coloured squares. Everything is elementwise float32 arithmetic, so that a row
comes out bit for bit the same whoever shares its batch.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from service.domain.digest import content_digest
from service.domain.errors import BackendError
from service.domain.execution import Execution
from service.domain.request import SamplingParams
from service.domain.stage import Stage
from service.ports.backend import F32, U8
from xmdpt.presets import PRESETS
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import IMAGE_SIZE, LATENT_SHAPE, VARIANTS

# With other arithmetic pictures differ, and vectors in the cache are no longer ours.
_FORMAT_VERSION = 1
# Only every fourth latent of every fourth row has a say: enough for a picture, and a step costs next to nothing.
_CELLS = (slice(None), slice(None), slice(None, None, 4), slice(None, None, 4))
_CELLS_SIDE = LATENT_SHAPE[1] // 4
_BLOCK_PX = IMAGE_SIZE // _CELLS_SIDE
# Of the time of a step, or of the decoder: what int8 takes of float32 on CPUs, about.
_LOW_SHARE = 0.5
# A sleep lasts longer than asked for by up to this; the rest of a call is waited for awake, so that it ends on time.
_OVERSLEEP_SECONDS = 0.0003


@dataclass(frozen=True)
class SimulatedTimes:
    """How long calls last, seconds; a step of b rows lasts call + step + row * b, a loop of K call + K * the rest.

    Attributes:
        step_seconds: of a denoising step, whatever its rows.
        row_seconds: what each row adds to a step.
        encoder_seconds: of a call of either encoder.
        decoder_seconds: of a call of the decoder.
        call_seconds: of every call on top.
    """

    step_seconds: float = 0.0
    row_seconds: float = 0.0
    encoder_seconds: float = 0.0
    decoder_seconds: float = 0.0
    call_seconds: float = 0.0


class SimulatedBackend:
    """InferenceBackend that sleeps, and computes so little that the sleep hides it."""

    runtime = "simulated"
    precision = "fp32"
    low_precision: str | None = "fp16"
    has_low_decoder = True
    # As many as such a graph is built for.
    max_low_rows: int | None = 32

    def __init__(self, variant: str, times: SimulatedTimes, profile_sizes: Sequence[int] = ()) -> None:
        """Nothing is loaded.

        Args:
            variant: a name in `xmdpt.spec.VARIANTS`; it decides width and prediction.
            times: of the calls.
            profile_sizes: numbers of rows that a call may have, growing; any other is refused, but of
                calls in low precision. Empty: all.
        """
        self.variant = variant
        self.model_digest = content_digest(f"simulated {_FORMAT_VERSION} {variant}".encode())
        self.profile_sizes: Sequence[int] = tuple(profile_sizes)
        self._width = VARIANTS[variant].width
        self._times = times

    def choose(self, execution: Execution) -> None:
        """Both executions are always at hand."""

    def encode_source(self, photo: U8) -> F32:
        """See InferenceBackend."""
        with self._call(Stage.ENCODE_SOURCE, photo, self._times.encoder_seconds):
            return self._vectors(b"source", photo)

    def encode_pose(self, skeleton: U8) -> F32:
        """See InferenceBackend."""
        with self._call(Stage.ENCODE_POSE, skeleton, self._times.encoder_seconds):
            return self._vectors(b"pose", skeleton)

    def condition(self, source_vector: F32, pose_vector: F32) -> F32:
        """See InferenceBackend."""
        with self._call(Stage.CONDITION, source_vector, 0.0):
            return np.subtract(source_vector, np.float32(0.5) * pose_vector)

    def denoise_step(
        self, latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
    ) -> tuple[F32, F32]:
        """See InferenceBackend."""
        with self._call(Stage.DENOISE, latents, self._step_seconds(len(latents))):
            return _step(latents, previous_denoised, condition, timestep, guidance, coefficients)

    def denoise_step_low(
        self, latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
    ) -> tuple[F32, F32]:
        """See InferenceBackend; conditions have no more digits than half of a float32 has."""
        rounded = condition.astype(np.float16).astype(np.float32)
        with self._call(Stage.DENOISE_LOW, latents, _LOW_SHARE * self._step_seconds(len(latents))):
            return _step(latents, previous_denoised, rounded, timestep, guidance, coefficients)

    def sample(self, noise: F32, condition: F32, timesteps: F32, guidance: F32, coefficients: F32) -> F32:
        """See InferenceBackend; the very latents of the steps one by one."""
        num_steps = timesteps.shape[1]
        with self._call(Stage.SAMPLE, noise, num_steps * self._step_seconds(len(noise))):
            latents, denoised = noise, np.zeros_like(noise)
            for step in range(num_steps):
                columns = timesteps[:, step, None], guidance[:, step, None], coefficients[:, step]
                latents, denoised = _step(latents, denoised, condition, *columns)
            return latents

    def decode(self, latents: F32) -> U8:
        """See InferenceBackend."""
        with self._call(Stage.DECODE, latents, self._times.decoder_seconds):
            return _pictures(latents)

    def decode_low(self, latents: F32) -> U8:
        """See InferenceBackend; the very pictures of `decode`."""
        with self._call(Stage.DECODE_LOW, latents, _LOW_SHARE * self._times.decoder_seconds):
            return _pictures(latents)

    def _step_seconds(self, num_rows: int) -> float:
        return self._times.step_seconds + self._times.row_seconds * num_rows

    @contextmanager
    def _call(self, stage: Stage, rows: np.ndarray, seconds: float) -> Iterator[None]:
        """Let the block last so long, or as long as it needs if that is longer."""
        if not stage.is_low and self.profile_sizes and len(rows) not in self.profile_sizes:
            raise BackendError("backend_error", f"{stage}: {len(rows)} rows are not one of its profiles' sizes")
        until = time.monotonic() + self._times.call_seconds + seconds
        yield
        while (left := until - time.monotonic()) > 0:
            # Other threads run meanwhile, as they do while a device works.
            time.sleep(max(0.0, left - _OVERSLEEP_SECONDS))

    def _vectors(self, kind: bytes, pictures: U8) -> F32:
        """Numbers 0 .. 1 from a digest of each picture, so that no two pictures have the same."""
        digests = [hashlib.sha256(kind + picture.tobytes()).digest() for picture in pictures]
        levels = np.frombuffer(b"".join(digests), np.uint8).reshape(len(pictures), -1)
        repeats = self._width // levels.shape[1]
        return np.tile(levels, (1, repeats)).astype(np.float32) / np.float32(256)


def expected_picture(photo: U8, skeleton: U8, params: SamplingParams, variant: str = "tiny") -> U8:
    """The picture [256,256,3] uint8 RGB that a simulated worker must make, derived row by row and step by step.

    Args:
        photo: [256,256,3] uint8 RGB.
        skeleton: [256,256,3] uint8 RGB.
        params: as the request gave them.
        variant: of the worker's backend.
    """
    backend = SimulatedBackend(variant, SimulatedTimes())
    condition = backend.condition(backend.encode_source(photo[None]), backend.encode_pose(skeleton[None]))
    prediction = VARIANTS[variant].prediction
    step = backend.denoise_step_low if PRESETS[params.preset].wants_low_precision else backend.denoise_step
    plan = sampling_plan(params.num_steps, params.guidance, params.sampler.value, prediction)
    latents = initial_noise(params.seed)[None]
    denoised = np.zeros_like(latents)
    for timestep, guidance, row in zip(plan.timesteps, plan.guidance, plan.coefficients, strict=True):
        columns = timestep[None, None], guidance[None, None], row[None]
        latents, denoised = step(latents, denoised, condition, *columns)
    return backend.decode(latents)[0]


def _step(
    latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
) -> tuple[F32, F32]:
    """One step as `xmdpt.sampler` defines it, with a prediction in which every argument has a part.

    The latents' own part is small, so that they stay finite over any number of steps.
    """
    x, previous = latents[_CELLS], previous_denoised[_CELLS]
    a, b, c, p, q = coefficients.T[:, :, None, None, None]
    told = condition[:, : _CELLS_SIDE**2] + timestep * np.float32(2**-10)
    prediction = np.float32(0.125) * x + (guidance * told).reshape(-1, 1, _CELLS_SIDE, _CELLS_SIDE)
    outputs = np.zeros_like(latents), np.zeros_like(latents)
    denoised = p * x + q * prediction
    outputs[0][_CELLS] = a * x + b * denoised + c * previous
    outputs[1][_CELLS] = denoised
    return outputs


def _pictures(latents: F32) -> U8:
    """Squares of one colour, a cell each, whose levels change with any bit of the cell's latents."""
    bits = np.ascontiguousarray(latents[_CELLS]).view(np.uint32)
    folded = (bits ^ (bits >> 8) ^ (bits >> 16) ^ (bits >> 24)).astype(np.uint8)
    # Three colours from four channels: the last one has a part in each.
    colours = (folded[:, :3] + folded[:, 3:] * np.uint8(37)).transpose(0, 2, 3, 1)
    lines = np.repeat(colours, _BLOCK_PX, axis=2).reshape(len(latents), _CELLS_SIDE, -1)
    return np.repeat(lines, _BLOCK_PX, axis=1).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)
