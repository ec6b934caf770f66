"""The graphs in this process, through ONNX Runtime.

It knows graphs and arrays, not jobs; `service.adapters.model_repository` has checked the files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.adapters.error_mapping import is_out_of_memory
from service.adapters.graph_methods import GraphMethods, called_graphs
from service.adapters.model_repository import ModelRepository
from service.domain.errors import BackendError, ModelRepositoryError, ResourceExhaustedError
from service.domain.execution import Execution
from service.ports.backend import F32, U8
from xmdpt.graph_session import RUNTIME, GraphSession
from xmdpt.spec import GraphSpec

_ONNX_TYPES = {"f32": "tensor(float)", "u8": "tensor(uint8)"}


class OnnxBackend(GraphMethods):
    """InferenceBackend on ONNX Runtime: CUDA where the installed package has it, else the CPU."""

    def __init__(
        self, repository: ModelRepository, num_threads: int = 0, execution: Execution = Execution.STEPWISE
    ) -> None:
        """Load every graph that the execution calls; `choose` may change it.

        Args:
            repository: opened and verified.
            num_threads: of one graph run; 0 takes the physical cores.
            execution: whether steps are asked for one by one or as a whole loop.

        Raises:
            ModelRepositoryError: a graph doesn't load, or its inputs and outputs differ from the contract.
        """
        self.runtime = RUNTIME
        self.variant = repository.variant.name
        self.model_digest = repository.model_digest
        self.precision, self.low_precision = repository.precision, repository.low_precision
        self._repository, self._num_threads = repository, num_threads
        self._sessions: dict[str, GraphSession] = {}
        self.choose(execution)

    def choose(self, execution: Execution) -> None:
        """See GraphMethods; step and loop are never in memory at one time.

        Raises:
            ModelRepositoryError: as at the start.
        """
        graphs = called_graphs(execution, self._repository.graphs)
        self._sessions = {name: session for name, session in self._sessions.items() if name in graphs}
        for name in graphs:
            if name not in self._sessions:
                self._sessions[name] = _open_session(self._repository, name, self._num_threads)

    def run_graph(self, graph: str, **feeds: F32 | U8) -> Sequence[Any]:
        """See GraphMethods; rows above the largest batch go in several calls."""
        with _translated(graph):
            return self._sessions[graph].run(feeds)


def _open_session(repository: ModelRepository, name: str, num_threads: int) -> GraphSession:
    path, weights = repository.graphs[name], repository.weights_folders[name]
    try:
        # Spinning threads would take the cores from the gateway and the queue, which share them.
        graph = GraphSession(path, weights, repository.max_batch_sizes[name], num_threads=num_threads, is_alone=False)
    except Exception as error:
        raise ModelRepositoryError(f"{path}: ONNX Runtime refuses it: {_first_line(error)}") from None
    _check_contract(path, graph, repository.specs[name])
    return graph


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
        if isinstance(error, MemoryError) or is_out_of_memory(str(error)):
            raise ResourceExhaustedError(f"{graph}: not enough memory for this batch") from error
        raise BackendError("backend_error", f"{graph}: the runtime could not run this batch") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
