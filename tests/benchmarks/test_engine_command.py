"""`python -m benchmarks --engine`: a quick cut of every benchmark runs on real processes; no time is asserted."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.catalogue import ENGINE_TITLES
from benchmarks.report import REPORT, RESULTS, read_page, section

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engine.md"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a quick run of all benchmarks of the engine; about a minute."""
    folder = tmp_path_factory.mktemp("bench")
    assert main(["--engine", "--quick", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def results(out: Path) -> dict[str, dict]:
    """What it found, by key."""
    return {result["key"]: result for result in json.loads((out / RESULTS).read_text())["results"]}


def figure_of(result: dict, name: str) -> dict:
    return next(figure for figure in result["figures"] if name in figure["name"])


def test_quick_run_when_done_then_every_benchmark_has_figures_and_a_target(results: dict[str, dict], out: Path) -> None:
    assert list(results) == list(ENGINE_TITLES)
    for result in results.values():
        assert result["is_quick"]
        assert all(np.isfinite(figure["values"]).all() for figure in result["figures"])
        assert any(figure["target"] for figure in result["figures"])
    assert "its figures mean nothing" in (out / REPORT).read_text()


def test_b10_when_run_then_no_encoder_has_run_for_a_known_person(results: dict[str, dict]) -> None:
    assert figure_of(results["B10"], "runs of the encoder")["values"] == [0]


def test_committed_page_when_read_then_it_shows_the_results_beside_it() -> None:
    results = read_page(PAGE)

    assert section(list(results.values())) in PAGE.read_text()
    assert {key: result.title for key, result in results.items()} == dict(ENGINE_TITLES)
    assert not any(result.is_quick for result in results.values())
