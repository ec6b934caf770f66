"""A backend whose answers are scripted: arithmetic on the inputs, and faults where a test wants them."""

from collections.abc import Callable

import numpy as np

from service.domain.execution import Execution


class FakeBackend:
    """Each latent moves by its row's own numbers, so a picture tells which rows and steps made it.

    `faults` maps a graph to a function of the number of rows and the call's index that may raise or return "nan".
    """

    runtime = "fake"
    variant = "tiny"
    model_digest = "sha256:fake"
    precision = "fp32"
    low_precision: str | None = None
    has_low_decoder = False
    max_low_rows: int | None = None
    profile_sizes = ()
    width = 64

    def __init__(self, faults: dict[str, Callable[[int, int], str | None]] | None = None) -> None:
        self.calls: list[tuple[str, int]] = []
        self.chosen: list[Execution] = []
        self._faults = faults or {}

    def choose(self, execution: Execution) -> None:
        self.chosen.append(execution)

    def _note(self, graph: str, array: np.ndarray) -> float:
        index = sum(1 for name, _ in self.calls if name == graph)
        self.calls.append((graph, len(array)))
        fault = self._faults.get(graph, lambda rows, index: None)(len(array), index)
        return float("nan") if fault == "nan" else 0.0

    def _vector(self, graph: str, pixels: np.ndarray) -> np.ndarray:
        mean = pixels.reshape(len(pixels), -1).mean(axis=1, keepdims=True) + self._note(graph, pixels)
        return np.repeat(mean, self.width, axis=1).astype(np.float32)

    def encode_source(self, photo: np.ndarray) -> np.ndarray:
        return self._vector("source_encoder", photo)

    def encode_pose(self, skeleton: np.ndarray) -> np.ndarray:
        return self._vector("pose_encoder", skeleton)

    def condition(self, source_vector: np.ndarray, pose_vector: np.ndarray) -> np.ndarray:
        return source_vector - pose_vector + self._note("canet", source_vector)

    def denoise_step(self, latents, previous_denoised, condition, timestep, guidance, coefficients):
        return _moved(latents, condition, timestep, guidance) + self._note("tdnet_step", latents), previous_denoised + 1

    def denoise_step_low(self, latents, previous_denoised, condition, timestep, guidance, coefficients):
        """Every move is half as large."""
        moved = _moved(latents, condition / 2, timestep / 2, guidance / 2)
        return moved + self._note("tdnet_step_low", latents), previous_denoised + 1

    def sample(self, noise, condition, timesteps, guidance, coefficients):
        """The steps above, one after the other."""
        latents = noise + self._note("sampler", noise)
        for step in range(timesteps.shape[1]):
            column = slice(step, step + 1)
            latents = _moved(latents, condition, timesteps[:, column], guidance[:, column])
        return latents

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return self._pictures("vae_decoder", latents)

    def decode_low(self, latents: np.ndarray) -> np.ndarray:
        """Half as bright."""
        return self._pictures("vae_decoder_low", latents) // 2

    def _pictures(self, graph: str, latents: np.ndarray) -> np.ndarray:
        self._note(graph, latents)
        level = np.clip(np.abs(latents.reshape(len(latents), -1).mean(axis=1)) * 100, 0, 255)
        return np.repeat(level, 256 * 256 * 3).reshape(-1, 256, 256, 3).astype(np.uint8)


def _moved(latents, condition, timestep, guidance) -> np.ndarray:
    move = condition[:, :1] * 1e-3 + guidance * 1e-2 + timestep * 1e-5
    return (latents + move.reshape(-1, 1, 1, 1)).astype(np.float32)
