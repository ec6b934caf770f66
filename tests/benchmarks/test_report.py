"""Reports and pages: what they say, what a page keeps, and that the committed one shows the results beside it."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.catalogue import TITLES
from benchmarks.figures import Figure, Result, Target
from benchmarks.marked_page import PageError
from benchmarks.report import CHART, REPORT, RESULTS, read_page, section, write_page, write_report

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
OCCASION = {"date": "2026-11-28", "commit": "abc+", "machine": "a machine", "versions": "some", "load": "0.5"}


def a_result(key: str = "B1", values: tuple[float, ...] = (1.9, 2.0, 2.1), is_quick: bool = False) -> Result:
    figures = [Figure("ratio", list(values), target=Target(1.95, "at least")), Figure("a step", [0.25], "s")]
    return Result(key, f"title of {key}", figures, is_quick, OCCASION)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with text around an empty part for results."""
    path = tmp_path / "docs" / "figures.md"
    path.parent.mkdir()
    path.write_text(f"# Before\n\n{section([])}\n\nBehind.\n")
    return path


def test_report_when_written_then_table_json_and_picture_are_there(tmp_path: Path) -> None:
    write_report(tmp_path, [a_result()])

    report = (tmp_path / REPORT).read_text()
    assert "| B1 | ratio | **2** | 1.95 to 2.05 | 3 | at least 1.95 | met |" in report
    assert "| B1 | a step | **0.25** s |  | 1 |  |  |" in report
    assert "2026-11-28, commit abc+, a machine (load 0.5), some" in report
    assert "mean nothing" not in report
    assert '"values"' in (tmp_path / RESULTS).read_text()
    with Image.open(tmp_path / CHART) as picture:
        assert picture.width > 300


def test_report_when_many_figures_are_drawn_then_the_picture_is_a_small_file(tmp_path: Path) -> None:
    write_report(tmp_path, [a_result(f"B{number}") for number in range(20)])

    assert (tmp_path / CHART).stat().st_size < 60_000
    with Image.open(tmp_path / CHART) as picture:
        assert (picture.format, picture.mode) == ("PNG", "P")
        assert len(picture.getcolors() or []) <= 64


def test_report_when_a_target_is_missed_then_it_says_so(tmp_path: Path) -> None:
    write_report(tmp_path, [a_result(values=(1.9, 1.9))])

    assert "| at least 1.95 | missed |" in (tmp_path / REPORT).read_text()


def test_report_when_the_run_was_quick_then_it_judges_nothing(tmp_path: Path) -> None:
    write_report(tmp_path, [a_result(is_quick=True)])

    report = (tmp_path / REPORT).read_text()
    assert "its figures mean nothing" in report
    assert "| at least 1.95 |  |" in report


def test_report_when_no_figure_has_a_spread_then_it_is_written_all_the_same(tmp_path: Path) -> None:
    write_report(tmp_path, [Result("B1", "title", [Figure("x", [1.0])], False, OCCASION)])

    assert (tmp_path / CHART).exists()


def test_page_when_written_then_only_its_part_changes(page: Path) -> None:
    write_page(page, [a_result()])

    assert page.read_text() == f"# Before\n\n{section([a_result()])}\n\nBehind.\n"
    assert (page.parent / "images" / "figures.png").exists()


def test_page_when_some_benchmarks_are_run_again_then_those_of_the_others_stay(page: Path) -> None:
    write_page(page, [a_result("B1"), a_result("B10")])
    write_page(page, [a_result("B3")])
    again = a_result("B1", values=(3.0, 3.0))

    write_page(page, [again])

    assert read_page(page) == {"B1": again, "B3": a_result("B3"), "B10": a_result("B10")}
    text = page.read_text()
    assert text.index("| B1 |") < text.index("| B3 |") < text.index("| B10 |")
    assert "**2**" in text
    assert text.count("**3**") == 1


def test_page_when_it_has_no_place_for_results_then_it_is_named_and_stays(page: Path) -> None:
    page.write_text("# Nothing\n")

    for use in (read_page, lambda place: write_page(place, [a_result()])):
        with pytest.raises(PageError, match=r"figures.md: there is no line"):
            use(page)
    assert page.read_text() == "# Nothing\n"


def test_page_when_it_is_missing_then_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"absent\.md: No such file"):
        read_page(tmp_path / "absent.md")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"results": [{"key": "B1"}]}', '{"results": 3}'])
def test_page_when_the_file_beside_it_holds_something_else_then_it_is_named(page: Path, content: str) -> None:
    page.with_suffix(".json").write_text(content)

    with pytest.raises(PageError, match=r"figures.json: holds no results"):
        read_page(page)


def test_committed_page_when_read_then_it_shows_the_results_beside_it() -> None:
    results = read_page(PAGE)

    assert section(list(results.values())) in PAGE.read_text()
    assert {key: result.title for key, result in results.items()} == dict(TITLES)
    assert not any(result.is_quick for result in results.values())
    assert (PAGE.parent / "images" / f"{PAGE.stem}.png").exists()
