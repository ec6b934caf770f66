"""The exported graphs of a model repository in ONNX Runtime.

Does not check numbers (`python -m export verify`): only, by `xmdpt.repository`, that each file is the manifest's.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from xmdpt.evaluation.generators import Model, Pictures, Sampling
from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.repository import (
    WEIGHTS_FOLDER_OPTION,
    RepositoryError,
    check_files,
    graph_path,
    load_manifest,
    weights_folder,
)
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import VARIANTS, graph_specs

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


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
            graph: _session(root / graph_path(graph), weights_folder(root, manifest, graph), num_threads)
            for graph in graph_specs(self._variant)
        }
        engine = f"onnxruntime {onnxruntime.__version__}"
        self.model = Model(name, engine, manifest["model_digest"], weights["origin"], weights["is_trained"])

    def pictures(self, photos: Pictures, skeletons: Pictures, seeds: list[int], sampling: Sampling) -> Pictures:
        """See Generator."""
        plan = sampling_plan(sampling.num_steps, sampling.guidance, sampling.sampler, self._variant.prediction)
        (pose_vector,) = self._run("pose_encoder", skeleton=skeletons)
        (condition,) = self._run("canet", source_vector=self.source_vectors(photos), pose_vector=pose_vector)
        latents = np.stack([initial_noise(seed) for seed in seeds])
        denoised = np.zeros_like(latents)
        size = len(seeds)
        for timestep, guidance, row in zip(plan.timesteps, plan.guidance, plan.coefficients, strict=True):
            latents, denoised = self._run(
                "tdnet_step",
                latents=latents,
                previous_denoised=denoised,
                condition=condition,
                timestep=np.full((size, 1), timestep),
                guidance=np.full((size, 1), guidance),
                coefficients=np.tile(row, (size, 1)),
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
            return list(self._sessions[graph].run(None, feeds))
        except Exception as error:  # ONNX Runtime's own exceptions share no other base
            raise RunError(f"{graph}: {_first_line(error)}; try a smaller --batch") from error


def _session(path: Path, weights: Path, num_threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(WEIGHTS_FOLDER_OPTION, str(weights))
    options.intra_op_num_threads = num_threads
    # Threads that wait by spinning would take the cores from torch, which scores on them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    try:
        return onnxruntime.InferenceSession(path, options, providers=[name for name in _PROVIDERS if name in available])
    except Exception as error:  # ONNX Runtime's own exceptions share no other base
        raise RunError(f"{path}: ONNX Runtime refuses it: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
