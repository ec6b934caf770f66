"""`python -m benchmarks`: a quick cut of every benchmark runs and reports; no time is asserted anywhere."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.catalogue import GPU_TITLES, TITLES
from benchmarks.exact_speed_up import MAX_RELATIVE_ERROR
from benchmarks.figures import BrokenRunError, Result
from benchmarks.graphs import shipped
from benchmarks.report import CHART, REPORT, RESULTS, section
from tests.benchmarks.test_report import a_result
from xmdpt.presets import Preset
from xmdpt.spec import VARIANTS


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a quick run of all benchmarks; about 40 s."""
    folder = tmp_path_factory.mktemp("bench") / "new"
    assert main(["--quick", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def results(out: Path) -> dict[str, dict]:
    """What it found, by key."""
    return {result["key"]: result for result in json.loads((out / RESULTS).read_text())["results"]}


def test_quick_run_when_done_then_every_benchmark_has_figures_and_an_occasion(results: dict[str, dict]) -> None:
    assert list(results) == list(TITLES)
    for result in results.values():
        assert result["is_quick"]
        assert all(np.isfinite(figure["values"]).all() for figure in result["figures"])
        assert any(figure["target"] for figure in result["figures"])
        assert all(result["occasion"].values())


def test_quick_run_when_done_then_the_report_says_what_it_is(out: Path) -> None:
    report = (out / REPORT).read_text()

    assert "its figures mean nothing" in report
    assert all(f"| {key} |" in report for key in TITLES)
    assert (out / CHART).exists()


def test_b1_when_run_then_both_structures_give_the_same_latents(results: dict[str, dict]) -> None:
    error = results["B1"]["figures"][-1]

    assert "difference" in error["name"]
    assert 0 < error["values"][0] <= MAX_RELATIVE_ERROR


def test_b3_when_run_then_int8_draws_almost_the_same_picture_and_not_the_same(results: dict[str, dict]) -> None:
    likeness = results["B3"]["figures"][-1]

    assert likeness["unit"] == "dB"
    # float32 in the place of int8 would give 90 dB and more.
    assert 25 < likeness["values"][0] < 70


def test_b4_when_run_then_int8_draws_almost_the_same_picture(results: dict[str, dict]) -> None:
    likeness = next(each for each in results["B4"]["figures"] if each["name"].startswith("fast against exact"))

    assert 25 < likeness["values"][0] < 70


def test_b4_when_run_then_each_preset_has_a_target(
    results: dict[str, dict],
) -> None:
    wanted = {figure["name"] for figure in results["B4"]["figures"] if figure["target"] and not figure["unit"]}

    assert wanted == {f"published / {preset}, noise to pixels, tiny" for preset in Preset}


def test_b8_when_run_then_no_row_differs_by_a_bit(results: dict[str, dict]) -> None:
    assert [figure["values"] for figure in results["B8"]["figures"]] == [[0], [0], [0], [0]]


def test_gpu_benchmarks_when_there_is_no_gpu_then_they_say_so_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.denoiser_speed.cuda_fault", lambda: "for a reason")

    assert main(["--only", *GPU_TITLES, "--out", str(tmp_path)]) == 0

    assert capsys.readouterr().out.count("not measured on a GPU: for a reason") == len(GPU_TITLES)
    assert not (tmp_path / RESULTS).exists()


def test_gpu_benchmarks_when_run_on_the_cpu_then_everything_has_figures(tmp_path: Path) -> None:
    call = ["--only", *GPU_TITLES, "--device", "cpu", "--size", "tiny", "--quick", "--out", str(tmp_path)]
    assert main(call) == 0

    latency, throughput = json.loads((tmp_path / RESULTS).read_text())["results"]
    figures = [*latency["figures"], *throughput["figures"]]
    assert all(min(figure["values"]) > 0 for figure in figures)
    for part in ("one large product", "copy within", "step, ", "share of the rate", "decoder", "photo extractor"):
        assert any(part in figure["name"] for figure in figures), part


def test_b3_when_it_draws_in_full_then_with_the_weights_that_are_shipped() -> None:
    assert shipped().variant is VARIANTS["demo"]


def test_b1_when_one_side_computes_something_else_then_1_and_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.published_structure.guidance_weights", lambda t, _: np.ones(len(t)))

    assert main(["--quick", "--only", "B1", "--out", str(tmp_path)]) == 1

    assert "latents differ by" in capsys.readouterr().err
    assert not (tmp_path / RESULTS).exists()


@pytest.mark.parametrize("arguments", [["--only", "B99"], ["--quick", "--page", "docs/benchmarks.md"]])
def test_command_when_the_call_is_wrong_then_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)

    assert ending.value.code == 2


def test_command_when_the_page_has_no_place_for_figures_then_2_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")

    assert main(["--out", str(tmp_path), "--page", str(page)]) == 2

    said = capsys.readouterr()
    assert "page.md: there is no line" in said.err
    assert said.out == ""


def test_command_when_stopped_then_1_and_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.__main__.run_benchmark", stopped)

    assert main(["--quick", "--out", str(tmp_path)]) == 1
    assert "stopped" in capsys.readouterr().err


def test_command_when_a_later_benchmark_fails_then_what_was_measured_before_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(key: str, *_: object) -> Result:
        if key == "B5":
            raise BrokenRunError("it does not run")
        return a_result(key)

    monkeypatch.setattr("benchmarks.__main__.run_benchmark", measured)
    page, out = tmp_path / "page.md", tmp_path / "out"
    page.write_text(section([]))

    assert main(["--only", "B1", "B5", "B8", "--out", str(out), "--page", str(page)]) == 1

    assert [result["key"] for result in json.loads((out / RESULTS).read_text())["results"]] == ["B1"]
    assert page.read_text() == section([a_result("B1")])


def test_page_when_figures_are_measured_then_they_go_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.__main__.run_benchmark", lambda key, *_: a_result(key))
    page = tmp_path / "page.md"
    page.write_text(section([]))

    assert main(["--only", "B5", "B1", "--out", str(tmp_path / "out"), "--page", str(page)]) == 0

    assert page.read_text() == section([a_result("B1"), a_result("B5")])
