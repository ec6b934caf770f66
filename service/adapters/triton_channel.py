"""gRPC to one Triton server: each call with a deadline, until then repeated while the server is away; errors are ours.

A graph's answer depends on its inputs alone, so that every call may be repeated. What the messages hold is
`service.adapters.triton_tensors`'.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.adapters.error_mapping import is_out_of_memory
from service.adapters.triton_tensors import GRAPH_VERSION
from service.domain.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    ResourceExhaustedError,
)
from service.domain.execution import PROBE_SECONDS
from service.telemetry.logs import get_logger

# Its classes are made when it is imported, so that no type checker knows them.
_pb: Any = service_pb2
_OPTIONS = (
    # A batch of pictures is larger than gRPC's 4 MB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that is back must not wait for us: gRPC would let two minutes pass between its attempts.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
# Gone, going, full, or a model that is being loaded: the next attempt may find it well.
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND)
_EXPIRED_IN_QUEUE, _QUEUE_IS_FULL = "timeout expired", "maximum queue size"
_PAUSE_SECONDS = 0.1
_START_PAUSE_SECONDS = 0.25
_MAX_REASON_LENGTH = 200

T = TypeVar("T")


@dataclass(frozen=True)
class TritonEndpoint:
    """Where a server is and how long it may take.

    Attributes:
        url: `host:port` of its gRPC endpoint.
        timeout_seconds: of one call with all of its repetitions.
        startup_seconds: until it is ready, at a start.
        has_tls: encrypt, and check the server's certificate.
        root_certificates: PEM file of those who may have signed it; empty takes gRPC's own.
    """

    url: str
    timeout_seconds: float
    startup_seconds: float
    has_tls: bool = False
    root_certificates: str = ""


class TritonChannel:
    """One connection, which gRPC makes anew whenever it is lost; for one thread."""

    def __init__(self, server: TritonEndpoint) -> None:
        """Connect with the first call.

        Raises:
            ConfigurationError: the certificates can't be read.
        """
        self._server = server
        if server.has_tls:
            self._channel = grpc.secure_channel(server.url, _credentials(server.root_certificates), _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(server.url, _OPTIONS)
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def wait_until_ready(self, graphs: Sequence[str]) -> str:
        """Return the server's version as soon as it is live and all of these graphs are ready.

        Raises:
            BackendUnavailableError: that takes longer than `startup_seconds`; one line says what is missing.
        """
        give_up_at = time.monotonic() + self._server.startup_seconds
        while True:
            try:
                missing = self._missing(graphs)
                if not missing:
                    return self._stub.ServerMetadata(_pb.ServerMetadataRequest(), timeout=PROBE_SECONDS).version
                reason = f"{', '.join(missing)} not ready there"
            except grpc.RpcError as error:
                reason = _reason(error)
            if time.monotonic() > give_up_at:
                limit = f"{self._server.startup_seconds:g} s"
                raise BackendUnavailableError(f"no Triton at {self._server.url} within {limit}: {reason}")
            time.sleep(_START_PAUSE_SECONDS)

    def deadline(self) -> float:
        """Monotonic seconds until which calls that begin now may last."""
        return time.monotonic() + self._server.timeout_seconds

    def config(self, graph: str, deadline: float) -> Any:
        """Return the `ModelConfig` of a graph as the server has it now.

        Raises:
            BackendError: as `infer`.
        """
        request = _pb.ModelConfigRequest(name=graph, version=GRAPH_VERSION)
        response = self._insist(graph, deadline, lambda seconds: self._stub.ModelConfig(request, timeout=seconds))
        return response.config

    def infer(self, requests: Sequence[Any], deadline: float) -> list[Any]:
        """Send `ModelInferRequest`s of one graph, all at one time, and return their responses in order.

        Raises:
            BackendTimeoutError: not before the deadline; the server was told to stop.
            BackendUnavailableError: no server, or only a full one, until then.
            ResourceExhaustedError: too many rows for its memory, or for one message.
            BackendError: anything else; its text stays in the cause.
        """
        return self._insist(requests[0].model_name, deadline, lambda seconds: self._infer_once(requests, seconds))

    def _infer_once(self, requests: Sequence[Any], seconds: float) -> list[Any]:
        for request in requests:
            # So that it doesn't begin what nobody waits for any more; what it has begun, gRPC cancels.
            request.parameters["timeout"].int64_param = int(seconds * 1e6)
        if len(requests) == 1:
            # In this thread: 0.2 ms less.
            return [self._stub.ModelInfer(requests[0], timeout=seconds)]
        calls = [self._stub.ModelInfer.future(request, timeout=seconds) for request in requests]
        try:
            return [call.result() for call in calls]
        finally:
            for call in calls:
                call.cancel()

    def _insist(self, graph: str, deadline: float, attempt: Callable[[float], T]) -> T:
        """Call with the seconds that are left, again and again, until there is an answer or an error that stays."""
        before: grpc.RpcError | None = None
        while True:
            seconds = max(deadline - time.monotonic(), 1e-3)
            try:
                return attempt(seconds)
            except grpc.RpcError as error:
                if before and _is_late(error) and seconds < self._server.timeout_seconds / 2:
                    # It came too late only because the others were refused for so long.
                    raise self._ours(graph, before) from before
                is_over = time.monotonic() + _PAUSE_SECONDS > deadline
                if is_over or _code(error) not in _PASSING or _is_late(error):
                    raise self._ours(graph, error) from error
                if not before:
                    get_logger().warning(
                        "inference server away or busy, trying again", graph=graph, reason=_reason(error)
                    )
                before = error
            time.sleep(_PAUSE_SECONDS)

    def _ours(self, graph: str, error: grpc.RpcError) -> BackendError:
        code, text, limit = _code(error), _text(error), f"{self._server.timeout_seconds:g} s"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and self._is_live():
            return BackendTimeoutError(f"{graph}: no answer within {limit}")
        if _EXPIRED_IN_QUEUE in text:
            return BackendTimeoutError(f"{graph}: its turn did not come within {limit}")
        if _QUEUE_IS_FULL in text:
            return BackendUnavailableError(f"{graph}: the inference server's queue stayed full for {limit}")
        if code in (*_PASSING, grpc.StatusCode.DEADLINE_EXCEEDED):
            return BackendUnavailableError(f"{graph}: no inference server answered within {limit}")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED or is_out_of_memory(text):
            return ResourceExhaustedError(f"{graph}: not enough memory for this batch")
        return BackendError("backend_error", f"{graph}: the inference server refused the call")

    def _is_live(self) -> bool:
        """The server answers, so that whoever waited did wait for the graph."""
        try:
            return self._stub.ServerLive(_pb.ServerLiveRequest(), timeout=PROBE_SECONDS).live
        except grpc.RpcError:
            return False

    def _missing(self, graphs: Sequence[str]) -> list[str]:
        live = self._stub.ServerLive(_pb.ServerLiveRequest(), timeout=PROBE_SECONDS).live
        return [graph for graph in graphs if not (live and self._is_ready(graph))]

    def _is_ready(self, graph: str) -> bool:
        request = _pb.ModelReadyRequest(name=graph, version=GRAPH_VERSION)
        return self._stub.ModelReady(request, timeout=PROBE_SECONDS).ready


def _credentials(root_certificates: str) -> grpc.ChannelCredentials:
    if not root_certificates:
        return grpc.ssl_channel_credentials()
    try:
        # gRPC would only say that the server is away.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(root_certificates)
        return grpc.ssl_channel_credentials(Path(root_certificates).read_bytes())
    except OSError as error:
        where = f"XMDPT_TRITON__ROOT_CERTIFICATES={root_certificates}"
        raise ConfigurationError(f"{where}: {error.strerror}") from None


def _code(error: Any) -> grpc.StatusCode:
    return error.code()


def _is_late(error: Any) -> bool:
    return _code(error) is grpc.StatusCode.DEADLINE_EXCEEDED or _EXPIRED_IN_QUEUE in _text(error)


def _text(error: Any) -> str:
    return (error.details() or "").lower()


def _reason(error: Any) -> str:
    """What a person needs of it, on one line."""
    lines = (error.details() or "").splitlines() or [""]
    return f"{error.code().name.lower()} {lines[0]}"[:_MAX_REASON_LENGTH].strip()
