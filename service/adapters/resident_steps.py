"""Denoising steps by ONNX Runtime on arrays that lie on its device: I/O binding, and a CUDA graph for each profile.

A step reads one pair of arrays and writes the other; the next one goes the other way. So the rows of a failed step are
still there, nothing is copied between steps, and all addresses are fixed, as captured graphs need them. On the CPU the
same code runs without capturing. Not yet run on a GPU.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from service.adapters.device_rows import DeviceRows
from service.domain.errors import BackendError
from service.ports.backend import F32
from xmdpt.graph_session import GraphSession
from xmdpt.spec import LATENT_SHAPE

_NUM_COEFFICIENTS = 5
# Of each row and step there are timestep, guidance weight and coefficients: three parts, each of which begins where any
# kernel may read it in blocks, at a multiple of 256 bytes.
_ALIGNED_NUMBERS = 64
_NUM_CHECKS = 4
"""Steps of a profile's check: in both directions one that captures, and one that launches what was captured."""


@dataclass(frozen=True)
class _Profile:
    """One number of rows: where its numbers go, and what binds the graph in either direction."""

    numbers: onnxruntime.OrtValue
    bindings: Sequence[Any]
    options: Sequence[onnxruntime.RunOptions]


class OnnxResidentSteps:
    """ResidentSteps of one session of `tdnet_step`, used by one thread.

    It must be the same from the start on: ONNX Runtime keeps a captured graph with the thread that captured it.
    """

    def __init__(
        self,
        graph: GraphSession,
        width: int,
        profile_sizes: Sequence[int],
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Allocate for the largest profile; a profile's graph of a direction is captured when it is first run.

        Args:
            graph: `tdnet_step`; on CUDA it was loaded to capture.
            width: of a condition.
            profile_sizes: numbers of rows of a step, growing.
            translated: makes errors of the port of ONNX Runtime's.
        """
        self.max_rows = profile_sizes[-1]
        self._graph, self._translated = graph, translated
        self._no_condition = np.zeros(width, np.float32)
        with translated():
            rows, device = self.max_rows, graph.device
            self._latents = [DeviceRows(rows, LATENT_SHAPE, device) for _ in range(2)]
            self._denoised = [DeviceRows(rows, LATENT_SHAPE, device) for _ in range(2)]
            self._condition = DeviceRows(rows, (width,), device)
            self._guidance_at = -(-rows // _ALIGNED_NUMBERS) * _ALIGNED_NUMBERS
            self._coefficients_at = 2 * self._guidance_at
            self._numbers = DeviceRows(1, (self._coefficients_at + rows * _NUM_COEFFICIENTS,), device)
            self._profiles = {size: self._profile(number, size) for number, size in enumerate(profile_sizes)}
        self._current = 0

    def put(self, row: int, latents: F32, previous_denoised: F32, condition: F32) -> None:
        """See ResidentSteps."""
        with self._translated():
            self._latents[self._current].write(row, latents)
            self._denoised[self._current].write(row, previous_denoised)
            self._condition.write(row, condition)

    def move(self, row: int, to_row: int) -> None:
        """See ResidentSteps."""
        with self._translated():
            for array in (self._latents[self._current], self._denoised[self._current], self._condition):
                array.move(row, to_row)

    def latents(self, row: int) -> F32:
        """See ResidentSteps."""
        with self._translated():
            return self._latents[self._current].read(row)

    def denoised(self, row: int) -> F32:
        """See ResidentSteps."""
        with self._translated():
            return self._denoised[self._current].read(row)

    def step(self, numbers: F32) -> None:
        """See ResidentSteps."""
        with self._translated():
            size = len(numbers)
            profile = self._profiles[size]
            # In one copy: all timesteps, all guidance weights, all coefficients.
            packed = np.zeros(self._coefficients_at + size * _NUM_COEFFICIENTS, np.float32)
            packed[:size] = numbers[:, 0]
            packed[self._guidance_at : self._guidance_at + size] = numbers[:, 1]
            packed[self._coefficients_at :] = numbers[:, 2:].reshape(-1)
            profile.numbers.update_inplace(packed)
            self._run(profile, self._current)
        self._current = 1 - self._current

    def capture(self, num_rows: int) -> None:
        """See ResidentSteps.

        Raises:
            BackendError: what a step read or wrote is not what lies in the rows.
        """
        for seed in range(_NUM_CHECKS):
            self._check_step(num_rows, np.random.default_rng(seed))

    def try_step(self, num_rows: int) -> None:
        """See ResidentSteps."""
        with self._translated():
            self._run(self._profiles[num_rows], self._current)

    def _check_step(self, num_rows: int, generator: np.random.Generator) -> None:
        """Take a step that must give, to the bit, latents + c x previous denoised, and p x latents as denoised."""
        latents, previous = generator.standard_normal((2, num_rows, *LATENT_SHAPE), np.float32)
        c, p = np.exp2(generator.integers(-3, 4, (2, num_rows, 1, 1, 1))).astype(np.float32)
        numbers = np.zeros((num_rows, 2 + _NUM_COEFFICIENTS), np.float32)
        numbers[:, 2:6] = np.stack([np.ones_like(c), np.zeros_like(c), c, p], axis=1)[..., 0, 0, 0]
        for row in range(num_rows):
            self.put(row, latents[row], previous[row], self._no_condition)
        self.step(numbers)
        found = [(self.latents(row), self.denoised(row)) for row in range(num_rows)]
        if not np.array_equal(found, np.stack([latents + c * previous, p * latents], axis=1)):
            detail = f"tdnet_step: a step of {num_rows} rows reads or writes other memory than the rows on the device"
            raise BackendError("backend_error", f"{detail}; XMDPT_WORKER__PROVIDER=cpu does without them")

    def _run(self, profile: _Profile, current: int) -> None:
        self._graph.session.run_with_iobinding(profile.bindings[current], profile.options[current])

    def _profile(self, number: int, size: int) -> _Profile:
        bindings, options = [], []
        for current in range(2):
            binding = self._graph.session.io_binding()
            inputs = {
                "latents": (self._latents[current], LATENT_SHAPE, 0),
                "previous_denoised": (self._denoised[current], LATENT_SHAPE, 0),
                "condition": (self._condition, self._no_condition.shape, 0),
                "timestep": (self._numbers, (1,), 0),
                "guidance": (self._numbers, (1,), self._guidance_at),
                "coefficients": (self._numbers, (_NUM_COEFFICIENTS,), self._coefficients_at),
            }
            for name, (rows, row_shape, first_number) in inputs.items():
                rows.bind(binding.bind_input, name, (size, *row_shape), first_number)
            for name, pair in (("next_latents", self._latents), ("denoised", self._denoised)):
                pair[1 - current].bind(binding.bind_output, name, (size, *LATENT_SHAPE), 0)
            run_options = onnxruntime.RunOptions()
            # Each captured graph has a number of its own.
            run_options.add_run_config_entry("gpu_graph_id", str(2 * number + current + 1))
            bindings.append(binding)
            options.append(run_options)
        numbers = self._numbers.view(0, (self._coefficients_at + size * _NUM_COEFFICIENTS,))
        return _Profile(numbers, bindings, options)
