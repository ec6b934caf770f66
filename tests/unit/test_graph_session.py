"""What a session is told of the processor that it runs on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from xmdpt import graph_session
from xmdpt.graph_session import GraphSession, has_int8_instructions
from xmdpt.repository import graph_path, load_manifest, weights_folder

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
_OPTION = "session.x64quantprecision"


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    has_int8_instructions.cache_clear()
    yield
    has_int8_instructions.cache_clear()


def is_set(graph: GraphSession) -> bool:
    try:
        return graph.session.get_session_options().get_session_config_entry(_OPTION) == "1"
    except RuntimeError:
        # Nobody has set it.
        return False


@pytest.mark.parametrize(
    ("flags", "is_slow_and_safe"),
    [
        pytest.param("flags : fpu avx2 avx512f avx512_vnni", False, id="VNNI"),
        pytest.param("flags : fpu avx2 avx_vnni", False, id="VNNI without AVX-512"),
        pytest.param("flags : fpu avx2 avx512f", True, id="neither"),
        pytest.param(None, True, id="a system that does not say"),
    ],
)
def test_session_when_the_processor_has_no_int8_instructions_then_products_are_made_so_that_they_cannot_overflow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str | None, is_slow_and_safe: bool
) -> None:
    info = tmp_path / "cpuinfo"
    if flags:
        info.write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr(graph_session, "_CPU_INFO", info)
    manifest = load_manifest(SHIPPED)

    graph = GraphSession(SHIPPED / graph_path("canet"), weights_folder(SHIPPED, manifest, "canet"), 1, device="cpu")

    assert is_set(graph) == is_slow_and_safe
