"""What only ONNX Runtime has: graphs that don't load, and calls one after the other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.domain.errors import BackendError, ModelRepositoryError
from xmdpt.spec import LATENT_SHAPE, LOW_GRAPHS, VARIANTS, low_specs

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
ROWS = 3


class CountingSession:
    """A session that notes how many rows each of its calls had."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self.session = session
        self.rows: list[int] = []

    def run(self, outputs: None, feeds: dict[str, NDArray]) -> Any:
        self.rows += {len(array) for array in feeds.values()}
        return self.session.run(outputs, feeds)


def limited_backend(most_rows: int) -> tuple[OnnxBackend, CountingSession]:
    """The shipped graphs, one of which takes fewer rows than it could."""
    shipped = open_model_repository(SHIPPED)
    backend = OnnxBackend(replace(shipped, max_batch_sizes={**shipped.max_batch_sizes, "canet": most_rows}))
    graph: Any = backend._sessions["canet"]
    graph.session = session = CountingSession(graph.session)
    return backend, session


@pytest.mark.parametrize(("most_rows", "calls"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (4, [3])])
def test_graph_when_more_rows_come_than_it_takes_then_its_calls_are_as_large_as_may_be(
    most_rows: int, calls: list[int]
) -> None:
    backend, session = limited_backend(most_rows)

    backend.condition(*np.zeros((2, ROWS, 256), np.float32))

    assert session.rows == calls


@pytest.mark.parametrize(("rows", "others"), [(2, 3), (0, 0)])
def test_graph_when_its_arrays_differ_in_rows_or_have_none_then_none_is_run(rows: int, others: int) -> None:
    backend, session = limited_backend(1)

    with pytest.raises(BackendError):
        backend.condition(np.zeros((rows, 256), np.float32), np.zeros((others, 256), np.float32))

    assert session.rows == []


def test_backend_when_opened_then_it_names_the_librarys_version() -> None:
    assert OnnxBackend(open_model_repository(SHIPPED)).runtime == f"onnxruntime-{ort.__version__}"


def damaged(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "model.onnx"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("make", [damaged(b"this is no graph"), damaged(b""), lambda folder: folder / "missing.onnx"])
def test_graph_when_it_does_not_load_then_one_line_names_the_file(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    repository, broken = open_model_repository(SHIPPED), make(tmp_path)

    with pytest.raises(ModelRepositoryError, match="ONNX Runtime refuses it") as error:
        OnnxBackend(replace(repository, graphs={**repository.graphs, "canet": broken}))

    assert error.value.detail.startswith(str(broken))
    assert "\n" not in error.value.detail


def test_low_step_when_rows_share_a_call_then_each_is_what_it_is_alone_and_not_that_of_float32() -> None:
    backend = OnnxBackend(open_model_repository(SHIPPED), num_threads=1)
    spec = low_specs(VARIANTS[backend.variant])["tdnet_step_low"]
    generator = np.random.default_rng(3)
    step = [generator.standard_normal(tensor.sizes(ROWS)).astype(np.float32) for tensor in spec.inputs]

    together = backend.denoise_step_low(*step)

    alone = [backend.denoise_step_low(*(array[row : row + 1] for array in step)) for row in range(ROWS)]
    for index, output in enumerate(together):
        assert np.array_equal(output, np.concatenate([each[index] for each in alone]))
    exact = backend.denoise_step(*step)[1]
    assert 1e-4 < np.abs(together[1] - exact).max() / np.abs(exact).max() < 0.1


def test_low_decoder_when_rows_share_a_call_then_each_is_what_it_is_alone_and_not_that_of_float32() -> None:
    backend = OnnxBackend(open_model_repository(SHIPPED), num_threads=1)
    # Of such different sizes that one scale for all of them would tell.
    latents = np.random.default_rng(3).standard_normal((ROWS, *LATENT_SHAPE), np.float32)
    latents *= np.array([0.3, 1, 2], np.float32).reshape(ROWS, 1, 1, 1)

    together = backend.decode_low(latents)

    assert backend.has_low_decoder
    assert np.array_equal(together, np.concatenate([backend.decode_low(row[None]) for row in latents]))
    assert 0 < np.abs(together.astype(int) - backend.decode(latents)).mean() < 1


@pytest.mark.parametrize("missing", [["vae_decoder_low"], [*LOW_GRAPHS]])
def test_low_graph_when_the_repository_has_none_then_it_is_not_loaded_and_the_others_are(missing: list[str]) -> None:
    shipped = open_model_repository(SHIPPED)
    graphs = {name: path for name, path in shipped.graphs.items() if name not in missing}
    low_precision = shipped.low_precision if "tdnet_step_low" in graphs else None

    backend = OnnxBackend(replace(shipped, graphs=graphs, low_precision=low_precision))

    assert set(backend._sessions) == graphs.keys() - {"sampler"}
    assert (backend.low_precision, backend.has_low_decoder) == (low_precision, False)
