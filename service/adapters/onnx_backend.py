"""The graphs in this process, through ONNX Runtime.

It knows graphs and arrays, not jobs; `service.adapters.model_repository` has checked the files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from service.adapters.error_mapping import is_out_of_memory
from service.adapters.graph_methods import GraphMethods, called_graphs
from service.adapters.model_repository import ModelRepository
from service.adapters.resident_steps import OnnxResidentSteps
from service.domain.errors import BackendError, ConfigurationError, ModelRepositoryError, ResourceExhaustedError
from service.domain.execution import Execution
from service.ports.backend import F32, U8, ResidentSteps
from service.telemetry.logs import get_logger
from xmdpt.graph_session import RUNTIME, Device, GraphSession, cuda_fault, has_cuda, has_int8_instructions
from xmdpt.spec import LOW_DECODER, LOW_STEP, GraphSpec

Provider = Literal["auto", "cpu", "cuda"]
_ONNX_TYPES = {"f32": "tensor(float)", "u8": "tensor(uint8)"}


class OnnxBackend(GraphMethods):
    """InferenceBackend on ONNX Runtime.

    On a GPU, steps are resident: latents stay there, and calls have the sizes of profiles.

    Attributes:
        device: "cpu" or "cuda".
        resident_steps: see ResidentBackend.
    """

    def __init__(
        self,
        repository: ModelRepository,
        num_threads: int = 0,
        execution: Execution = Execution.STEPWISE,
        provider: Provider = "auto",
        *,
        resident_sizes: Sequence[int] | None = None,
    ) -> None:
        """Load every graph that the execution calls; `choose` may change it.

        Args:
            repository: opened and verified.
            num_threads: of one graph run; 0 takes the physical cores.
            execution: whether steps are asked for one by one or as a whole loop.
            provider: "cpu", "cuda", or "auto": CUDA where it loads.
            resident_sizes: numbers of rows that resident steps have profiles for, growing; None: on a GPU powers of two
                up to the graph's largest batch, and no resident steps on the CPU, which gains nothing by padding.

        Raises:
            ModelRepositoryError: a graph doesn't load, or its inputs and outputs differ from the contract.
            ResourceExhaustedError: the device has no memory for the graphs.
            ConfigurationError: CUDA is asked for and doesn't load; whole loops are, and would give other pictures here.
        """
        self.device: Device = usable_device(provider)
        self.runtime = RUNTIME if self.device == "cpu" else f"{RUNTIME}-{self.device}"
        if resident_sizes is None and self.device != "cpu":
            resident_sizes = _profile_sizes(repository.max_batch_sizes["tdnet_step"])
        self._is_resident = bool(resident_sizes)
        if resident_sizes:
            self.profile_sizes = resident_sizes
        self.resident_steps: ResidentSteps | None = None
        self.variant = repository.variant.name
        self.model_digest = repository.model_digest
        self.precision, self.low_precision = repository.precision, repository.low_precision
        self.has_low_decoder = LOW_DECODER in repository.graphs
        self.max_low_rows = repository.max_batch_sizes.get(LOW_STEP)
        if warning := low_step_warning(self.device, self.low_precision):
            get_logger().warning(warning)
        self._repository, self._num_threads = repository, num_threads
        self._sessions: dict[str, GraphSession] = {}
        self.choose(execution)

    def choose(self, execution: Execution) -> None:
        """See GraphMethods; step and loop are never in memory at one time.

        Raises:
            ModelRepositoryError, ResourceExhaustedError, ConfigurationError: as at the start.
        """
        if execution is Execution.WHOLE_LOOP and (fault := sampler_fault(self.device, self.precision)):
            raise ConfigurationError(fault)
        graphs = called_graphs(execution, self._repository.graphs)
        if "tdnet_step" not in graphs:
            # It holds its session.
            self.resident_steps = None
        self._sessions = {name: session for name, session in self._sessions.items() if name in graphs}
        for name in graphs:
            if name not in self._sessions:
                self._sessions[name] = self._open_session(name)
        # As long as the session is the same, so are they: what it has captured works on their arrays.
        if self._is_resident and "tdnet_step" in graphs and self.resident_steps is None:
            self.resident_steps = OnnxResidentSteps(
                self._sessions["tdnet_step"],
                self._repository.variant.width,
                self.profile_sizes,
                partial(_translated, "tdnet_step"),
            )

    def run_graph(self, graph: str, **feeds: F32 | U8) -> Sequence[Any]:
        """See GraphMethods; rows above the largest batch go in several calls."""
        with _translated(graph):
            return self._sessions[graph].run(feeds)

    def _open_session(self, name: str) -> GraphSession:
        repository = self._repository
        path, weights = repository.graphs[name], repository.weights_folders[name]
        try:
            graph = GraphSession(
                path,
                weights,
                repository.max_batch_sizes[name],
                num_threads=self._num_threads,
                device=self.device,
                captures=self._is_resident and name == "tdnet_step",
            )
        except Exception as error:
            if _is_out_of_memory(error):
                raise ResourceExhaustedError(f"{name}: not enough memory to load it") from error
            raise ModelRepositoryError(f"{path}: ONNX Runtime refuses it: {_first_line(error)}") from None
        _check_contract(path, graph, repository.specs[name])
        return graph


def usable_device(provider: Provider) -> Device:
    """What graphs run on.

    Raises:
        ConfigurationError: CUDA is asked for and doesn't load.
    """
    if provider == "cpu":
        return "cpu"
    fault = cuda_fault()
    if not fault:
        return "cuda"
    if provider == "cuda":
        raise ConfigurationError(f"XMDPT_WORKER__PROVIDER=cuda: {fault}; auto takes the CPU then")
    if has_cuda():
        get_logger().warning("no GPU, graphs run on the CPU", reason=fault)
    return "cpu"


def sampler_fault(device: Device, precision: str) -> str:
    """Why the graph `sampler` of a repository can't be trusted here; empty if it can.

    In a loop's body ONNX Runtime does not heed `session.x64quantprecision`: sums of int8 products overflow there on
    processors without instructions for them, and pictures have 33 dB.
    """
    if device != "cpu" or precision != "int8" or has_int8_instructions():
        return ""
    return (
        "XMDPT_WORKER__EXECUTION=whole_loop: on this processor, which has no instructions for int8 (VNNI), the loop of "
        "an int8 repository computes wrong pictures; stepwise does not"
    )


def low_step_warning(device: Device, low_precision: str | None) -> str | None:
    """Return what to say if steps in low precision are not made for the device."""
    if device == "cpu" or low_precision != "int8":
        return None
    return (
        "steps in low precision are int8, which is for CPUs, and take one row a call: on this GPU the presets fast and "
        "draft may be slower than exact; build the repository with another --low-precision, or without"
    )


def _profile_sizes(max_rows: int) -> Sequence[int]:
    """Powers of two, and the largest number of rows."""
    return [2**power for power in range(max_rows.bit_length()) if 2**power < max_rows] + [max_rows]


def _check_contract(path: Path, graph: GraphSession, spec: GraphSpec) -> None:
    for kind, arguments, tensors in (
        ("input", graph.session.get_inputs(), spec.inputs),
        ("output", graph.session.get_outputs(), spec.outputs),
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
        if _is_out_of_memory(error):
            raise ResourceExhaustedError(f"{graph}: not enough memory for this batch") from error
        raise BackendError("backend_error", f"{graph}: the runtime could not run this batch") from error


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or is_out_of_memory(str(error))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
