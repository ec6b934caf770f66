"""The exported graphs of a model repository in ONNX Runtime.

Does not check numbers (`python -m export verify`): only, by `xmdpt.repository`, that each file is the manifest's.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmdpt.evaluation.generators import Model, Pictures, Sampling
from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.graph_session import RUNTIME, GraphSession
from xmdpt.repository import RepositoryError, check_files, check_runs_here, load_manifest, weights_folder
from xmdpt.sampler import initial_noise, sampling_plan, stack_plans
from xmdpt.spec import VARIANTS, graph_specs


class GraphGenerator:
    """Generator by the graphs; on CUDA where the installed ONNX Runtime has it."""

    def __init__(self, root: Path, variant_name: str | None = None, num_threads: int = 0):
        """Load every graph.

        Args:
            root: folder with MANIFEST.json.
            variant_name: what the manifest must say; None takes what it says.
            num_threads: of each run on CPUs; 0 takes the physical cores.

        Raises:
            InputError: there is no good manifest, or it is of another variant.
            RunError: a file is missing or damaged, or a graph does not load.
        """
        try:
            manifest = load_manifest(root)
            check_runs_here(root, manifest)
        except RepositoryError as error:
            raise InputError(f"--repository: {error}") from None
        name, weights = manifest["variant"], manifest["weights"]
        if variant_name not in {None, name}:
            raise InputError(
                f"{root}: holds the variant {name}, not {variant_name}; build it with "
                f"`python -m export build --variant {variant_name}` or give another --repository"
            )
        try:
            check_files(root, manifest)
        except RepositoryError as error:
            raise RunError(str(error)) from None
        self._variant = VARIANTS[name]
        self._sessions = {
            graph: _session(root, manifest, graph, num_threads)
            for graph in graph_specs(self._variant)
            if graph != "tdnet_step"
        }
        self.model = Model(name, RUNTIME, manifest["model_digest"], weights["origin"], weights["is_trained"])

    def pictures(self, photos: Pictures, skeletons: Pictures, seeds: list[int], sampling: Sampling) -> Pictures:
        """See Generator."""
        plan = sampling_plan(sampling.num_steps, sampling.guidance, sampling.sampler, self._variant.prediction)
        (pose_vector,) = self._run("pose_encoder", skeleton=skeletons)
        (condition,) = self._run("canet", source_vector=self.source_vectors(photos), pose_vector=pose_vector)
        plans = stack_plans([plan] * len(seeds))
        (latents,) = self._run(
            "sampler",
            noise=np.stack([initial_noise(seed) for seed in seeds]),
            condition=condition,
            timesteps=plans.timesteps,
            guidance=plans.guidance,
            coefficients=plans.coefficients,
        )
        return self.decode(latents)

    def decode(self, latents: NDArray[np.float32]) -> Pictures:
        """Return the pictures of finished latents [B, 4, 32, 32], scaled."""
        return self._run("vae_decoder", latents=latents)[0]

    def source_vectors(self, photos: Pictures) -> NDArray[np.float32]:
        """See Generator."""
        return self._run("source_encoder", photo=photos)[0]

    def _run(self, graph: str, **feeds: NDArray) -> list:
        try:
            return self._sessions[graph].run(feeds)
        except Exception as error:  # ONNX Runtime's own exceptions share no other base
            raise RunError(f"{graph}: {_first_line(error)}; try a smaller --batch") from error


def _session(root: Path, manifest: Mapping, graph: str, num_threads: int) -> GraphSession:
    entry = manifest["graphs"][graph]
    path, weights = root / entry["path"], weights_folder(root, manifest, graph)
    try:
        return GraphSession(path, weights, entry["max_batch_size"], num_threads=num_threads)
    except Exception as error:  # ONNX Runtime's own exceptions share no other base
        raise RunError(f"{path}: ONNX Runtime refuses it: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
