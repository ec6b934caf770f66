"""One ONNX graph to one TensorRT engine, in the numbers that the graph names.

Does not choose the package (`export.tensorrt_package`) nor where engines lie (`export.tensorrt_repository`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from export.storage import widen_integers
from export.tensorrt_package import TensorrtError, Toolkit
from xmdpt.spec import GraphSpec

Sizes = tuple[int, ...]
Profile = Mapping[str, tuple[Sizes, Sizes, Sizes]]
"""The smallest, the best and the largest size of each input, by name."""

# What most requests ask for; `xmdpt.spec.STEPS_AXIS` is open to any number up to the largest.
_USUAL_STEPS = 50
# Where in NVIDIA's sources an error arose.
_SOURCE = re.compile(r" In \S+ at \S+:\d+")


def profiles(spec: GraphSpec, batch_sizes: Sequence[int], max_steps: int) -> list[Profile]:
    """Return a profile for each batch size, which takes the sizes between the one below and itself too.

    So each batch of up to the largest size has exactly one profile. Triton makes batches of what waits, of any size,
    and has no profile for a batch of three where there are only those of two and of four.

    Args:
        spec: of the graph.
        batch_sizes: that the engine is tuned for, rising.
        max_steps: most denoising steps of one call.
    """
    found, least = [], 1
    for size in batch_sizes:
        found.append(
            {
                tensor.name: (
                    tensor.sizes(least, 1),
                    tensor.sizes(size, min(_USUAL_STEPS, max_steps)),
                    tensor.sizes(size, max_steps),
                )
                for tensor in spec.inputs
            }
        )
        least = size + 1
    return found


class ReadGraph:
    """A graph as TensorRT understood it.

    Attributes:
        network: TensorRT's description; `build` makes an engine of it.
    """

    def __init__(self, toolkit: Toolkit, path: Path, weights_folder: Path, spec: GraphSpec) -> None:
        """Read a graph and its weights.

        Args:
            toolkit: package and targets.
            path: ONNX file that `export.manifest.read_manifest` has accepted.
            weights_folder: where the file is that it takes further weights from.
            spec: of the graph.

        Raises:
            TensorrtError: TensorRT does not run here, does not take the graph or makes other inputs and outputs of it.
        """
        self._toolkit, self._api, self._path = toolkit, toolkit.api, path
        self._log = _log(self._api)
        try:
            self._builder = self._api.Builder(self._log)
        except TypeError:
            raise TensorrtError(f"{toolkit.package} {toolkit.version} does not start: {self._reason()}") from None
        self.network = self._builder.create_network(1 << int(self._api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self._parser = self._api.OnnxParser(self.network, self._log)
        model = onnx.load(path, load_external_data=False)
        # TensorRT reads these where they lie until the engine is built.
        self._widened = widen_integers(model, weights_folder)
        if not self._read(model, weights_folder):
            raise TensorrtError(f"{path}: {toolkit.package} {toolkit.version} does not take it: {self._reason()}")
        self._check_contract(spec)

    def build(self, profiles: Sequence[Profile]) -> Any:
        """Return the engine, ready to be written to a file.

        Args:
            profiles: of `profiles`.

        Raises:
            TensorrtError: TensorRT makes no engine of the graph.
        """
        plan = self._builder.build_serialized_network(self.network, self.configuration(profiles))
        if plan is None:
            toolkit = self._toolkit
            raise TensorrtError(
                f"{self._path}: {toolkit.package} {toolkit.version} makes no engine of it: {self._reason()}"
            )
        return plan

    def configuration(self, profiles: Sequence[Profile]) -> Any:
        """How to build: for which targets and sizes, and float32 as float32."""
        config = self._builder.create_builder_config()
        # Else products of float32 would lose 13 of 23 bits, with them those that must not: timesteps and modulations.
        config.clear_flag(self._api.BuilderFlag.TF32)
        if self._toolkit.capabilities:
            config.num_compute_capabilities = len(self._toolkit.capabilities)
            for index, capability in enumerate(self._toolkit.capabilities):
                config.set_compute_capability(capability, index)
        for sizes in profiles:
            profile = self._builder.create_optimization_profile()
            for name, (least, best, most) in sizes.items():
                profile.set_shape(name, least, best, most)
            if config.add_optimization_profile(profile) < 0:
                raise TensorrtError(
                    f"{self._path}: {self._toolkit.package} refuses the sizes {sizes}: {self._reason()}"
                )
        return config

    def _read(self, model: onnx.ModelProto, weights_folder: Path) -> bool:
        """Hand over the model; weights in a file are looked for in the folder of the path that is named with it."""
        parser = self._parser
        return (
            parser.load_model_proto(model.SerializeToString(), str(weights_folder / self._path.name))
            and all(
                parser.load_initializer(name, array.ctypes.data, array.nbytes) for name, array in self._widened.items()
            )
            and parser.parse_model_proto()
        )

    def _check_contract(self, spec: GraphSpec) -> None:
        network, types = self.network, {"f32": self._api.float32, "u8": self._api.uint8}
        found = [network.get_input(index) for index in range(network.num_inputs)]
        found += [network.get_output(index) for index in range(network.num_outputs)]
        signature = [(tensor.name, tensor.dtype) for tensor in found]
        wanted = [(tensor.name, types[tensor.dtype]) for tensor in (*spec.inputs, *spec.outputs)]
        if signature != wanted:
            raise TensorrtError(f"{self._path}: its engine would have {signature}, the contract says {wanted}")

    def _reason(self) -> str:
        """What went wrong first: the node that was not understood, or else what TensorRT said of it."""
        parser = getattr(self, "_parser", None)
        if parser is not None and parser.num_errors:
            error = parser.get_error(0)
            node = f"node {error.node_name()} ({error.node_operator()})" if error.node_operator() else "the file"
            return f"{node}: {_one_line(error.desc())} ({error.code().name.lower()})"
        return _one_line(self._log.errors[0]) if self._log.errors else "it gives no reason"


def _one_line(text: str) -> str:
    return _SOURCE.sub("", " ".join(text.split()))


def _log(api: Any) -> Any:
    """A logger of TensorRT's that prints nothing and keeps what went wrong."""

    class Log(api.ILogger):
        def __init__(self) -> None:
            api.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (api.ILogger.ERROR, api.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()
