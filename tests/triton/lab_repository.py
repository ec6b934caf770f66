"""Models made for one question each, in a repository without a manifest: shipped graphs, and a toy.

Nobody has to load all of them: the server of this repository is told what to load.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import model_config_pb2

from tests.integration.processes import ROOT
from xmdpt.repository import graph_path, load_manifest, weights_folder

SHIPPED = ROOT / "model_repository"
MANIFEST = load_manifest(SHIPPED)
TABLE = np.arange(8, dtype=np.float32).reshape(4, 2)
_pb: Any = model_config_pb2
# Of which any computer needs a fraction.
PATIENCE_MICROSECONDS = 60_000_000


def a_shipped_model(root: Path, name: str, graph: str, change: Callable[[Any], object] = lambda _config: None) -> Path:
    """A shipped graph under another name, with the batching that it has on a GPU and a configuration changed by hand.

    Returns:
        The graph's file.
    """
    config = text_format.Parse((SHIPPED / graph / "config.pbtxt").read_text(), _pb.ModelConfig())
    config.name = name
    config.instance_group[0].kind = _pb.ModelInstanceGroup.KIND_CPU
    del config.model_warmup[:]
    change(config)
    path = _write(root, name, config)
    shutil.copy(SHIPPED / graph_path(graph), path)
    for file in MANIFEST["graphs"][graph]["external"]:
        shutil.copy(weights_folder(SHIPPED, MANIFEST, graph) / Path(file["path"]).name, path.parent)
    return path


def a_lookup(root: Path, name: str, batch: int) -> None:
    """Rows of `TABLE` by their index; one out of range fails in the runtime. It waits for so many requests."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["row"])],
        name,
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["batch", 1, 2])],
        [numpy_helper.from_array(TABLE, "table")],
    )
    config = _pb.ModelConfig(
        name=name,
        platform="onnxruntime_onnx",
        max_batch_size=batch,
        input=[_pb.ModelInput(name="index", data_type=_pb.TYPE_INT64, dims=[1])],
        output=[_pb.ModelOutput(name="row", data_type=_pb.TYPE_FP32, dims=[1, 2])],
        # The wait ends as soon as all of them are there.
        dynamic_batching=_pb.ModelDynamicBatching(
            preferred_batch_size=[batch], max_queue_delay_microseconds=PATIENCE_MICROSECONDS
        ),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, _write(root, name, config))


def _write(root: Path, name: str, config: Any) -> Path:
    path = root / graph_path(name)
    path.parent.mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(text_format.MessageToString(config))
    return path
