"""A gRPC server that speaks Triton's protocol and answers as scripted, with what the real one can't be made to say."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from export.triton_config import graph_config
from service.adapters.model_repository import ModelRepository
from xmdpt.repository import ONNX

_pb: Any = service_pb2
_TYPES = {"f32": ("FP32", np.float32), "u8": ("UINT8", np.uint8)}

Script = Callable[[Any, Any, grpc.ServicerContext], Any]


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves the graphs of a repository; whatever is asked of them, they answer zeros.

    Attributes:
        script: called with each request, the good answer and the context; returns what is answered.
        is_live: what it says of itself.
        configs: what the server says of each graph; to be changed at will.
        unready: graphs that it says are not ready.
        requests: all that came in.
    """

    def __init__(self, repository: ModelRepository, port: int = 0, credentials: grpc.ServerCredentials | None = None):
        self.script: Script = lambda request, answer, context: answer
        self.is_live: Callable[[], bool] = lambda: True
        self.specs = repository.specs
        self.configs = {
            name: graph_config(
                spec, repository.max_batch_sizes[name], repository.graph_digests[name], ONNX, is_for_cpu=True
            )
            for name, spec in repository.specs.items()
        }
        self.unready: set[str] = set()
        self.requests: list[Any] = []
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        address = f"127.0.0.1:{port}"
        if credentials:
            self.port = self._server.add_secure_port(address, credentials)
        else:
            self.port = self._server.add_insecure_port(address)
        self._server.start()

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """At once, whatever is running."""
        self._server.stop(None).wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, request: Any) -> Any:
        """What the graph should say, all zeros."""
        response = _pb.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        for tensor in self.specs[request.model_name].outputs:
            name, dtype = _TYPES[tensor.dtype]
            shape = tensor.sizes(request.inputs[0].shape[0])
            response.outputs.add(name=tensor.name, datatype=name, shape=shape)
            response.raw_output_contents.append(np.zeros(shape, dtype).tobytes())
        return response

    def ServerLive(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _pb.ServerLiveResponse(live=self.is_live())

    def ServerMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _pb.ServerMetadataResponse(name="triton", version="0.0.0")

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _pb.ModelReadyResponse(ready=request.name in self.specs and request.name not in self.unready)

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return _pb.ModelConfigResponse(config=self.configs[request.name])

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        return self.script(request, self.answer(request), context)
