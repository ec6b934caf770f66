"""Our Python backend without a server: which requests share a call, and what each of them is answered."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.fakes.python_backend import MODULE, InferenceResponse, Request, TritonError, TritonModelException
from tests.integration.processes import ROOT
from tests.triton.lab_repository import TABLE, a_lookup
from xmdpt.repository import file_digest, graph_path

BACKEND = ROOT / "deploy" / "triton" / "backends" / "onnxruntime" / "model.py"
OUT_OF_RANGE = len(TABLE)


class CountedSession(onnxruntime.InferenceSession):
    """Notes the rows of each call."""

    def __init__(self, path: Path, options: onnxruntime.SessionOptions, **others: Any) -> None:
        super().__init__(path, options, **others)
        self.options, self.calls = options, []

    def run(self, output_names: Any, input_feed: Any, run_options: Any = None) -> Any:
        self.calls.append(len(input_feed["index"]))
        return super().run(output_names, input_feed, run_options)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, as Triton's stub imports it."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", MODULE)
    monkeypatch.setattr(onnxruntime, "InferenceSession", CountedSession)
    spec = importlib.util.spec_from_file_location("onnxruntime_backend", BACKEND)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def a_model(backend: Any, root: Path, **changes: Any) -> Any:
    """The toy, with a configuration as Triton hands it over."""
    if not (root / "lookup").exists():
        a_lookup(root, "lookup", batch=8)
    config = {
        "input": [{"name": "index"}],
        "output": [{"name": "row"}],
        "max_batch_size": 8,
        "default_model_filename": "model.onnx",
    }
    model = backend.TritonPythonModel()
    model.initialize(
        {
            "model_config": json.dumps(config | changes),
            "model_repository": str(root / "lookup"),
            "model_version": "1",
        }
    )
    return model


def parameters(**values: str) -> dict[str, dict]:
    return {"parameters": {name: {"string_value": value} for name, value in values.items()}}


def a_request(*indices: int, has_gone: bool = False) -> Request:
    return Request({"index": np.array([[index] for index in indices])}, has_gone)


def assert_rows(response: InferenceResponse, *indices: int) -> None:
    assert response.error is None
    (tensor,) = response.output_tensors
    assert tensor.name == "row"
    assert tensor.array.flags.c_contiguous
    np.testing.assert_array_equal(tensor.array[:, 0], TABLE[list(indices)])


def test_requests_when_they_come_together_then_one_call_answers_each_with_its_own_rows(
    backend: Any, tmp_path: Path
) -> None:
    model = a_model(backend, tmp_path)

    first, second, third = model.execute([a_request(1), a_request(3, 0, 2), a_request(1)])

    assert_rows(first, 1)
    assert_rows(second, 3, 0, 2)
    assert_rows(third, 1)
    assert model._session.calls == [5]


def test_requests_when_some_are_cancelled_then_the_rest_is_run_and_answered_in_order(
    backend: Any, tmp_path: Path
) -> None:
    model = a_model(backend, tmp_path)

    gone, kept, gone_too, kept_too = model.execute(
        [a_request(0, has_gone=True), a_request(1), a_request(2, has_gone=True), a_request(3)]
    )

    assert_rows(kept, 1)
    assert_rows(kept_too, 3)
    for response in (gone, gone_too):
        assert (response.error.code, response.error.message) == (TritonError.CANCELLED, "cancelled before it ran")
    assert model._session.calls == [2]


def test_requests_when_all_are_cancelled_then_nothing_is_run(backend: Any, tmp_path: Path) -> None:
    model = a_model(backend, tmp_path)

    responses = model.execute([a_request(0, has_gone=True), a_request(OUT_OF_RANGE, has_gone=True)])

    assert [response.error.code for response in responses] == [TritonError.CANCELLED] * 2
    assert model._session.calls == []


def test_batch_when_it_fails_then_each_request_is_run_alone_and_only_the_guilty_one_is_refused(
    backend: Any, tmp_path: Path
) -> None:
    model = a_model(backend, tmp_path)

    first, bad, last = model.execute([a_request(1), a_request(OUT_OF_RANGE), a_request(2, 3)])

    assert_rows(first, 1)
    assert_rows(last, 2, 3)
    assert bad.error.code == TritonError.INTERNAL
    assert bad.error.message.startswith("ONNX Runtime could not run it: ")
    assert "\n" not in bad.error.message
    assert model._session.calls == [4, 1, 1, 2]


def test_request_when_an_input_is_missing_then_it_is_refused_and_the_model_goes_on(
    backend: Any, tmp_path: Path
) -> None:
    model = a_model(backend, tmp_path)

    (refused,) = model.execute([Request({})])

    assert refused.error.code == TritonError.INTERNAL
    assert_rows(model.execute([a_request(2)])[0], 2)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("node " * 100 + "\n\nFailed to allocate memory"), "node Failed to allocate memory"),
        (MemoryError(), "out of memory"),
    ],
)
def test_request_when_the_memory_is_full_then_the_answer_says_so(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    model = a_model(backend, tmp_path)

    def fail(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr(model._session, "run", fail)

    (refused,) = model.execute([a_request(1)])

    assert refused.error.message.endswith(reason)
    assert "\n" not in refused.error.message


def test_requests_when_the_model_takes_no_batches_then_each_is_a_call(backend: Any, tmp_path: Path) -> None:
    model = a_model(backend, tmp_path, max_batch_size=0)

    responses = model.execute([a_request(1), a_request(2)])

    assert_rows(responses[0], 1)
    assert_rows(responses[1], 2)
    assert model._session.calls == [1, 1]


@pytest.mark.parametrize(("stated", "num_threads"), [({}, 0), (parameters(intra_op_thread_count="3"), 3)])
def test_model_when_loaded_then_it_has_the_threads_that_are_configured(
    backend: Any, tmp_path: Path, stated: dict, num_threads: int
) -> None:
    model = a_model(backend, tmp_path, **stated)

    assert model._session.options.intra_op_num_threads == num_threads


def test_model_when_its_digest_is_the_configured_one_then_it_is_loaded(backend: Any, tmp_path: Path) -> None:
    a_model(backend, tmp_path)
    digest = file_digest(tmp_path / graph_path("lookup"))

    assert_rows(a_model(backend, tmp_path, **parameters(sha256=digest)).execute([a_request(1)])[0], 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (parameters(sha256="ab" * 32), r"its SHA-256 is [0-9a-f]{12}\.\.\., the configuration says abababababab\.\.\."),
        ({"default_model_filename": "other.onnx"}, "other.onnx: No such file or directory"),
        ({"input": [{"name": "indices"}]}, "its inputs are index, the configuration says indices"),
        ({"output": [{"name": "rows"}]}, "its outputs are row, the configuration says rows"),
    ],
)
def test_model_when_it_is_not_what_is_configured_then_it_is_refused_in_one_line(
    backend: Any, tmp_path: Path, changes: dict, reason: str
) -> None:
    with pytest.raises(TritonModelException, match=reason) as raised:
        a_model(backend, tmp_path, **changes)

    assert str(raised.value).startswith(str(tmp_path / "lookup"))
    assert "\n" not in str(raised.value)
