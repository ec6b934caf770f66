"""The graphs in a Triton server, which holds the same model repository as our manifest describes.

It knows graphs and arrays, not jobs. That the server still holds ours is checked all the time, because it may be
started anew on another repository while we run.
"""

import time
from collections.abc import Sequence
from typing import Any

from service.adapters.graph_methods import GraphMethods, called_graphs
from service.adapters.model_repository import ModelRepository
from service.adapters.triton_channel import TritonChannel, TritonEndpoint
from service.adapters.triton_tensors import check_config, infer_requests, output_arrays
from service.domain.errors import BackendError, BackendUnavailableError, ModelRepositoryError, ServiceError
from service.domain.execution import Execution
from service.ports.backend import F32, U8
from xmdpt.spec import LOW_DECODER, LOW_STEP, GraphSpec

# No server starts within this time: who was right so shortly before an answer has given it. Only a model that explicit
# control loads anew may be up sooner, and answer for this long before it is found out.
_TRUST_SECONDS = 1.0


class TritonBackend(GraphMethods):
    """InferenceBackend over gRPC; it needs neither the graphs' files nor a runtime for them."""

    def __init__(
        self, repository: ModelRepository, server: TritonEndpoint, execution: Execution = Execution.STEPWISE
    ) -> None:
        """Wait for the server, and check that it runs the graphs that the manifest names.

        Args:
            repository: what the server must hold; only its manifest is needed.
            server: where it is.
            execution: whether steps are asked for one by one or as a whole loop; `choose` may change it.

        Raises:
            BackendUnavailableError: it is not ready in time.
            ModelRepositoryError: it serves other graphs.
            ConfigurationError: its certificates can't be read.
        """
        self.variant = repository.variant.name
        self.model_digest = repository.model_digest
        self.precision, self.low_precision = repository.precision, repository.low_precision
        self.has_low_decoder = LOW_DECODER in repository.graphs
        self._repository, self._url = repository, server.url
        self._specs: dict[str, GraphSpec] = {}
        self._checked_at: dict[str, float] = {}
        self._max_batch_sizes: dict[str, int] = {}
        self._channel = TritonChannel(server)
        try:
            self.choose(execution)
        except ServiceError:
            self.close()
            raise

    def choose(self, execution: Execution) -> None:
        """See GraphMethods; which graphs the server itself has loaded is its operator's to say.

        Raises:
            BackendUnavailableError: as at the start; likewise ModelRepositoryError.
        """
        repository = self._repository
        graphs = called_graphs(execution, repository.graphs)
        self._specs = {graph: repository.specs[graph] for graph in graphs}
        self.runtime = f"triton-{self._channel.wait_until_ready(graphs)}"
        for graph in graphs:
            config = self._channel.config(graph, self._channel.deadline())
            try:
                self._check(graph, config)
            except ValueError as error:
                hint = "start it on the repository that XMDPT_MODEL_REPOSITORY names"
                raise ModelRepositoryError(f"Triton at {self._url} serves another {error}; {hint}") from None
            self._max_batch_sizes[graph] = min(repository.max_batch_sizes[graph], config.max_batch_size)
        self.max_low_rows = self._max_batch_sizes.get(LOW_STEP)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def run_graph(self, graph: str, **feeds: F32 | U8) -> Sequence[Any]:
        """See GraphMethods; rows above the largest batch go in several requests at one time."""
        if graph not in self._specs:
            raise BackendError("backend_error", f"{graph}: not called in this execution")
        spec, limit = self._specs[graph], self._max_batch_sizes[graph]
        try:
            requests = infer_requests(spec, feeds, limit)
        except (TypeError, ValueError) as error:
            raise BackendError("backend_error", f"{graph}: called with wrong arrays") from error
        deadline = self._channel.deadline()
        responses = self._channel.infer(requests, deadline)
        if time.monotonic() - self._checked_at[graph] > _TRUST_SECONDS:
            self._check_again(graph, deadline)
        try:
            return output_arrays(spec, responses, [request.inputs[0].shape[0] for request in requests])
        except ValueError as error:
            raise BackendError("backend_error", f"{graph}: the answer is not what it gives") from error

    def _check_again(self, graph: str, deadline: float) -> None:
        try:
            self._check(graph, self._channel.config(graph, deadline))
        except ValueError as error:
            raise BackendUnavailableError(f"{graph}: the inference server runs another model now") from error

    def _check(self, graph: str, config: Any) -> None:
        """Raises ValueError, which begins with the graph's name."""
        try:
            check_config(self._specs[graph], self._repository.graph_digests[graph], config)
        except ValueError as error:
            raise ValueError(f"{graph}: {error}") from None
        self._checked_at[graph] = time.monotonic()
