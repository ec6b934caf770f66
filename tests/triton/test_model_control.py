"""Models that come and go while the server runs, and those that it must not take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.triton.lab_repository import MANIFEST, SHIPPED, a_lookup, a_shipped_model
from tests.triton.requests import PROTOCOLS, Feeds, infer
from tests.triton.running_triton import RunningTriton
from xmdpt.repository import file_digest, graph_path
from xmdpt.spec import VARIANTS

pytestmark = pytest.mark.system

WIDTH = VARIANTS[MANIFEST["variant"]].width
VECTORS: Feeds = {name: np.ones((2, WIDTH), np.float32) for name in ("source_vector", "pose_vector")}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_model_when_loaded_and_unloaded_then_it_answers_in_between(
    lab: RunningTriton, lab_root: Path, protocol: str
) -> None:
    client, name = getattr(lab, protocol), f"coming_and_going_{protocol}"
    a_shipped_model(lab_root, name, "canet")
    assert not client.is_model_ready(name)

    client.load_model(name)
    assert client.is_model_ready(name)
    assert infer(lab, protocol, name, VECTORS, ["condition"])[0].shape == (2, WIDTH)
    client.unload_model(name)

    with pytest.raises(InferenceServerException, match=f"'{name}'"):
        infer(lab, protocol, name, VECTORS, ["condition"])
    assert client.is_server_live()


def another_graph(root: Path, name: str) -> str:
    """Somebody has put another graph in the place of this one."""
    path = a_shipped_model(root, name, "canet")
    path.write_bytes((SHIPPED / graph_path("vae_decoder")).read_bytes())
    stated, actual = MANIFEST["graphs"]["canet"]["sha256"], file_digest(path)
    return f"{path}: its SHA-256 is {actual[:12]}..., the configuration says {stated[:12]}...; restore the file"


def no_graph(root: Path, name: str) -> str:
    path = a_shipped_model(root, name, "canet", lambda config: config.parameters.pop("sha256"))
    path.write_bytes(b"not a graph")
    return f"{path}: ONNX Runtime refuses it: "


def no_file(root: Path, name: str) -> str:
    path = a_shipped_model(root, name, "canet")
    path.unlink()
    return f"{path}: No such file or directory"


def no_weights(root: Path, name: str) -> str:
    """As where nobody has linked them."""
    path = a_shipped_model(root, name, "vae_decoder")
    for weights in path.parent.glob("*.safetensors"):
        weights.unlink()
    return f"{path}: ONNX Runtime refuses it: "


def other_names(root: Path, name: str) -> str:
    def rename(config: Any) -> None:
        config.input[0].name = "photo_vector"

    path = a_shipped_model(root, name, "canet", rename)
    return f"{path}: its inputs are source_vector, pose_vector, the configuration says photo_vector, pose_vector"


@pytest.mark.parametrize("spoil", [another_graph, no_graph, no_file, no_weights, other_names])
def test_model_when_its_file_is_not_what_is_configured_then_it_is_refused_by_name(
    lab: RunningTriton, lab_root: Path, spoil: Callable[[Path, str], str]
) -> None:
    reason = spoil(lab_root, spoil.__name__)

    with pytest.raises(InferenceServerException, match=spoil.__name__):
        lab.grpc.load_model(spoil.__name__)

    what = f"failed to load '{spoil.__name__}' version 1: Internal: TritonModelException: {reason}"
    assert what in lab.log.read_text()
    assert not lab.grpc.is_model_ready(spoil.__name__)
    assert lab.grpc.is_server_live()


def test_model_when_the_configuration_names_no_digest_then_any_graph_will_do(
    lab: RunningTriton, lab_root: Path
) -> None:
    a_lookup(lab_root, "unsigned", batch=1)

    lab.grpc.load_model("unsigned")

    assert infer(lab, "grpc", "unsigned", {"index": np.array([[1]])}, ["row"])[0].tolist() == [[[2.0, 3.0]]]
