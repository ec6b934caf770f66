"""Weights take a byte or two each where that is exact, and a runtime loads the numbers that were stored."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.storage import exponent_of_int8, store_compactly

SIZE = 300
"""Numbers in a tensor; just more than the least that is stored compactly."""


def a_model(values: np.ndarray) -> onnx.ModelProto:
    """A graph that gives its only weight."""
    weight = numpy_helper.from_array(values, "weight")
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, values.shape)
    graph = helper.make_graph([helper.make_node("Identity", ["weight"], ["out"])], "weight", [], [out], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def stored_types(model: onnx.ModelProto) -> list[str]:
    return [TensorProto.DataType.Name(tensor.data_type) for tensor in model.graph.initializer]


def loaded(model: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {})[0])


def assert_same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    """Bit by bit, but for the sign of zeros, which whole steps do not have."""
    is_zero = (found == 0) & (wanted == 0)
    assert found.shape == wanted.shape
    assert (is_zero | (found.view(np.uint32) == wanted.view(np.uint32))).all()


def repeated(*values: float) -> np.ndarray:
    return np.resize(np.array(values, np.float32), SIZE)


def tensors(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    """Tensors of a few numbers over and over: drawing each of the 300 would exhaust what Hypothesis may draw."""
    return st.lists(numbers, min_size=1, max_size=24).map(lambda few: repeated(*few))


@given(tensors(st.integers(-127, 127)), st.integers(-100, 100))
@settings(deadline=None, max_examples=40)
def test_storage_when_values_are_whole_steps_then_a_byte_each_and_the_same_bits(
    integers: np.ndarray, exponent: int
) -> None:
    values = np.ldexp(integers, exponent)

    model = store_compactly(a_model(values))

    assert stored_types(model) == ["INT8", "FLOAT"]
    assert_same_bits(loaded(model), values)


@given(tensors(st.floats(width=16, allow_nan=False)))
@settings(deadline=None, max_examples=40)
def test_storage_when_values_fit_float16_then_two_bytes_at_most_and_the_same_bits(values: np.ndarray) -> None:
    model = store_compactly(a_model(values))

    assert stored_types(model) in (["INT8", "FLOAT"], ["FLOAT16"])
    assert_same_bits(loaded(model), values)


@given(tensors(st.floats(width=32)))
@settings(deadline=None, max_examples=40)
def test_storage_when_values_are_anything_then_the_same_bits(values: np.ndarray) -> None:
    assert_same_bits(loaded(store_compactly(a_model(values.copy()))), values)


@pytest.mark.parametrize(
    ("values", "types"),
    [
        (repeated(0.0), ["INT8", "FLOAT"]),
        (repeated(1.0, -127.0, 0.0), ["INT8", "FLOAT"]),
        (repeated(1.0, 128.0), ["FLOAT16"]),
        (repeated(1.0, 0.0009765625), ["FLOAT16"]),
        (repeated(0.1, 1.0), ["FLOAT"]),
        (repeated(1e6, 1.0), ["FLOAT"]),
        (repeated(3.4e38), ["FLOAT"]),
        (repeated(2.0**127), ["INT8", "FLOAT"]),
        (repeated(1e-45), ["FLOAT"]),
        (repeated(np.nan, 1.0), ["FLOAT"]),
        (repeated(np.inf, -np.inf), ["FLOAT16"]),
    ],
    ids=lambda value: str(value[:2]) if isinstance(value, np.ndarray) else "",
)
def test_storage_when_values_are_special_then_the_smallest_exact_type(values: np.ndarray, types: list[str]) -> None:
    model = store_compactly(a_model(values))

    assert stored_types(model) == types
    assert_same_bits(loaded(model), values)


@pytest.mark.parametrize("size", [1, 16, 255])
def test_storage_when_a_tensor_is_small_then_untouched(size: int) -> None:
    model = a_model(np.ones(size, np.float32))
    before = model.SerializeToString()
    assert store_compactly(model).SerializeToString() == before


def test_storage_when_a_tensor_holds_integers_then_untouched() -> None:
    model = a_model(repeated(1.0))
    model.graph.initializer.append(numpy_helper.from_array(np.arange(SIZE), "positions"))
    assert stored_types(store_compactly(model)) == ["INT8", "FLOAT", "INT64"]


def test_storage_when_values_are_whole_steps_then_the_file_shrinks_fourfold() -> None:
    values = np.resize(np.arange(-127, 128, dtype=np.float32), 100_000)
    assert store_compactly(a_model(values)).ByteSize() < 1.01 * values.nbytes / 4


@pytest.mark.parametrize(("largest", "exponent"), [(127.0, 0), (127.5, 1), (63.5, -1), (1.0, -6), (1e-45, -155)])
def test_exponent_when_the_largest_value_is_given_then_it_just_fits(largest: float, exponent: int) -> None:
    values = np.array([0, -largest], np.float32)

    assert exponent_of_int8(values) == exponent

    assert abs(float(values[1])) <= 127 * 2.0**exponent
    assert abs(float(values[1])) > 127 * 2.0 ** (exponent - 1)
