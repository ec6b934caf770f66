"""The port's methods as runs of graphs by their names: what all runtimes that hold a model repository share.

How a graph is run, and which errors come of it, is each runtime's own.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from typing import Any

from service.domain.execution import Execution
from service.domain.stage import Stage
from service.ports.backend import F32, U8

# The step alone or the loop around it: nobody calls the other one.
_NOT_CALLED = {Execution.STEPWISE: Stage.SAMPLE, Execution.WHOLE_LOOP: Stage.DENOISE}


def called_graphs(execution: Execution, available: Container[str]) -> tuple[str, ...]:
    """Names of the graphs that an execution needs of those that a repository has."""
    return tuple(stage.value for stage in Stage if stage is not _NOT_CALLED[execution] and stage.value in available)


class GraphMethods(ABC):
    """InferenceBackend without its names: each method is a run of the graph of its stage."""

    profile_sizes: Sequence[int] = ()

    @abstractmethod
    def choose(self, execution: Execution) -> None:
        """Hold the graphs that this execution calls, and no longer the one that only the other calls."""

    @abstractmethod
    def run_graph(self, graph: str, **feeds: F32 | U8) -> Sequence[Any]:
        """Run a graph on B >= 1 rows.

        Args:
            graph: its name.
            feeds: one array an input, batch first, as `xmdpt.spec` says.

        Returns:
            One array an output, in the order of `xmdpt.spec`.

        Raises:
            BackendError: no answer, or none that can be trusted; ResourceExhaustedError if a smaller batch may fit.
        """

    def encode_source(self, photo: U8) -> F32:
        """See InferenceBackend."""
        return self.run_graph("source_encoder", photo=photo)[0]

    def encode_pose(self, skeleton: U8) -> F32:
        """See InferenceBackend."""
        return self.run_graph("pose_encoder", skeleton=skeleton)[0]

    def condition(self, source_vector: F32, pose_vector: F32) -> F32:
        """See InferenceBackend."""
        return self.run_graph("canet", source_vector=source_vector, pose_vector=pose_vector)[0]

    def denoise_step(
        self, latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
    ) -> tuple[F32, F32]:
        """See InferenceBackend."""
        return self._step("tdnet_step", latents, previous_denoised, condition, timestep, guidance, coefficients)

    def denoise_step_low(
        self, latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
    ) -> tuple[F32, F32]:
        """See InferenceBackend."""
        return self._step("tdnet_step_low", latents, previous_denoised, condition, timestep, guidance, coefficients)

    def _step(
        self,
        graph: str,
        latents: F32,
        previous_denoised: F32,
        condition: F32,
        timestep: F32,
        guidance: F32,
        coefficients: F32,
    ) -> tuple[F32, F32]:
        next_latents, denoised = self.run_graph(
            graph,
            latents=latents,
            previous_denoised=previous_denoised,
            condition=condition,
            timestep=timestep,
            guidance=guidance,
            coefficients=coefficients,
        )
        return next_latents, denoised

    def sample(self, noise: F32, condition: F32, timesteps: F32, guidance: F32, coefficients: F32) -> F32:
        """See InferenceBackend."""
        return self.run_graph(
            "sampler",
            noise=noise,
            condition=condition,
            timesteps=timesteps,
            guidance=guidance,
            coefficients=coefficients,
        )[0]

    def decode(self, latents: F32) -> U8:
        """See InferenceBackend."""
        return self.run_graph("vae_decoder", latents=latents)[0]

    def decode_low(self, latents: F32) -> U8:
        """See InferenceBackend."""
        return self.run_graph("vae_decoder_low", latents=latents)[0]
