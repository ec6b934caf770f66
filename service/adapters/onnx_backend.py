"""The graphs in this process, through ONNX Runtime.

It knows graphs and arrays, not jobs; `service.adapters.model_repository` has checked the files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort

from service.adapters.model_repository import ModelRepository
from service.domain.errors import BackendError, ModelRepositoryError, ResourceExhaustedError
from service.ports.backend import F32, U8
from xmdpt.repository import WEIGHTS_FOLDER_OPTION
from xmdpt.spec import GraphSpec

_ONNX_TYPES = {"f32": "tensor(float)", "u8": "tensor(uint8)"}
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc")


class OnnxBackend:
    """InferenceBackend on ONNX Runtime: CUDA where the installed package has it, else the CPU."""

    def __init__(self, repository: ModelRepository, num_threads: int = 0) -> None:
        """Load every graph.

        Args:
            repository: opened and verified.
            num_threads: of one graph run; 0 takes the physical cores.

        Raises:
            ModelRepositoryError: a graph doesn't load, or its inputs and outputs differ from the contract.
        """
        self.runtime = f"onnxruntime-{ort.__version__}"
        self.variant = repository.variant.name
        self.model_digest = repository.model_digest
        self._sessions = {
            name: _open_session(path, repository.weights_folders[name], repository.specs[name], num_threads)
            for name, path in repository.graphs.items()
        }

    def encode_source(self, photo: U8) -> F32:
        """See InferenceBackend."""
        return self._run("source_encoder", photo=photo)[0]

    def encode_pose(self, skeleton: U8) -> F32:
        """See InferenceBackend."""
        return self._run("pose_encoder", skeleton=skeleton)[0]

    def condition(self, source_vector: F32, pose_vector: F32) -> F32:
        """See InferenceBackend."""
        return self._run("canet", source_vector=source_vector, pose_vector=pose_vector)[0]

    def denoise_step(
        self, latents: F32, previous_denoised: F32, condition: F32, timestep: F32, guidance: F32, coefficients: F32
    ) -> tuple[F32, F32]:
        """See InferenceBackend."""
        next_latents, denoised = self._run(
            "tdnet_step",
            latents=latents,
            previous_denoised=previous_denoised,
            condition=condition,
            timestep=timestep,
            guidance=guidance,
            coefficients=coefficients,
        )
        return next_latents, denoised

    def decode(self, latents: F32) -> U8:
        """See InferenceBackend."""
        return self._run("vae_decoder", latents=latents)[0]

    def _run(self, graph: str, **feeds: F32 | U8) -> Sequence[Any]:
        with _translated(graph):
            return self._sessions[graph].run(None, feeds)


def _open_session(path: Path, weights_folder: Path, spec: GraphSpec, num_threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    # Spinning threads would take the cores from the gateway and the queue, which share them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Graphs that share a file of weights name it without its folder, which is not theirs.
    options.add_session_config_entry(WEIGHTS_FOLDER_OPTION, str(weights_folder))
    options.log_severity_level = 3
    available = ort.get_available_providers()
    try:
        session = ort.InferenceSession(path, options, providers=[p for p in _PROVIDERS if p in available])
    except Exception as error:
        raise ModelRepositoryError(f"{path}: ONNX Runtime refuses it: {_first_line(error)}") from None
    _check_contract(path, session, spec)
    return session


def _check_contract(path: Path, session: ort.InferenceSession, spec: GraphSpec) -> None:
    for kind, arguments, tensors in (
        ("input", session.get_inputs(), spec.inputs),
        ("output", session.get_outputs(), spec.outputs),
    ):
        found = [(a.name, a.type, tuple(a.shape[1:])) for a in arguments]
        wanted = [(t.name, _ONNX_TYPES[t.dtype], tuple(t.shape)) for t in tensors]
        if found != wanted:
            raise ModelRepositoryError(f"{path}: its {kind}s are {found}, the contract says {wanted}")


@contextmanager
def _translated(graph: str) -> Iterator[None]:
    """Foreign exceptions become ours at this border; their text, which may hold paths, stays in the cause."""
    try:
        yield
    except Exception as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY):
            raise ResourceExhaustedError(f"{graph}: not enough memory for this batch") from error
        raise BackendError("backend_error", f"{graph}: the runtime could not run this batch") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
