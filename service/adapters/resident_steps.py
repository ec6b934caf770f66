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
from service.ports.backend import F32
from xmdpt.graph_session import GraphSession
from xmdpt.spec import LATENT_SHAPE

_NUM_COEFFICIENTS = 5
_NUM_NUMBERS = 2 + _NUM_COEFFICIENTS
"""Of each row and step: timestep, guidance weight, coefficients."""


@dataclass(frozen=True)
class _Profile:
    """One number of rows: where its numbers go, and what binds the graph in either direction."""

    numbers: onnxruntime.OrtValue
    bindings: Sequence[Any]
    options: Sequence[onnxruntime.RunOptions]


class OnnxResidentSteps:
    """ResidentSteps of one session of `tdnet_step`, used by one thread."""

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
        with translated():
            rows, device = self.max_rows, graph.device
            self._latents = [DeviceRows(rows, LATENT_SHAPE, device) for _ in range(2)]
            self._denoised = [DeviceRows(rows, LATENT_SHAPE, device) for _ in range(2)]
            self._condition = DeviceRows(rows, (width,), device)
            self._numbers = DeviceRows(rows, (_NUM_NUMBERS,), device)
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
            profile = self._profiles[len(numbers)]
            # In one copy: all timesteps, all guidance weights, all coefficients.
            columns = numbers[:, 0], numbers[:, 1], numbers[:, 2:].reshape(-1)
            profile.numbers.update_inplace(np.concatenate(columns))
            self._run(profile, self._current)
        self._current = 1 - self._current

    def capture(self, num_rows: int) -> None:
        """See ResidentSteps."""
        with self._translated():
            for current in range(2):
                self._run(self._profiles[num_rows], current)

    def try_step(self, num_rows: int) -> None:
        """See ResidentSteps."""
        with self._translated():
            self._run(self._profiles[num_rows], self._current)

    def _run(self, profile: _Profile, current: int) -> None:
        self._graph.session.run_with_iobinding(profile.bindings[current], profile.options[current])

    def _profile(self, number: int, size: int) -> _Profile:
        numbers = {
            "timestep": self._numbers.view(0, (size, 1)),
            "guidance": self._numbers.view(size, (size, 1)),
            "coefficients": self._numbers.view(2 * size, (size, _NUM_COEFFICIENTS)),
        }
        bindings, options = [], []
        for current in range(2):
            binding = self._graph.session.io_binding()
            inputs = {
                "latents": self._latents[current].part(0, size),
                "previous_denoised": self._denoised[current].part(0, size),
                "condition": self._condition.part(0, size),
                **numbers,
            }
            for name, value in inputs.items():
                binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output("next_latents", self._latents[1 - current].part(0, size))
            binding.bind_ortvalue_output("denoised", self._denoised[1 - current].part(0, size))
            run_options = onnxruntime.RunOptions()
            # Each captured graph has a number of its own.
            run_options.add_run_config_entry("gpu_graph_id", str(2 * number + current + 1))
            bindings.append(binding)
            options.append(run_options)
        return _Profile(self._numbers.view(0, (_NUM_NUMBERS * size,)), bindings, options)
