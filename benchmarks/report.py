"""Results for people and programs: JSON, a Markdown table, a picture, and the part of a page that shows them.

Does not measure. A page's results are kept beside it as JSON, from which its part and its picture can be made anew.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.charts import save_chart
from benchmarks.figures import Figure, Result
from benchmarks.marked_page import PageError, parts_of_page

RESULTS, REPORT, CHART = "results.json", "report.md", "chart.png"
"""Files of a run."""
_BEGIN, _END = "<!-- measured: begin; `python -m benchmarks --page` -->", "<!-- measured: end -->"
_HEAD = (
    "| | what | median | quartiles | values | target | |",
    "|---|---|---|---|---|---|---|",
)


def write_report(out: Path, results: Sequence[Result]) -> None:
    """Write the results of a run into a folder that exists."""
    (out / RESULTS).write_text(results_json(results))
    quick = ["A quick run: it shows that everything works, its figures mean nothing.", ""]
    lines = ["# Benchmarks", "", *(quick if any(result.is_quick for result in results) else []), *table(results)]
    (out / REPORT).write_text("\n".join([*lines, "", f"![every value of the ratios]({CHART})", ""]))
    save_chart(results, out / CHART)


def read_page(page: Path) -> dict[str, Result]:
    """The results that a page shows, by their keys.

    Raises:
        PageError: the page has no place for results, or the file beside it does not hold any.
    """
    parts_of_page(page, _BEGIN, _END)
    data = page.with_suffix(".json")
    if not data.exists():
        return {}
    try:
        results = [Result.from_json(found) for found in json.loads(data.read_text())["results"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PageError(f"{data}: holds no results: {type(error).__name__}: {error}") from None
    return {result.key: result for result in results}


def write_page(page: Path, results: Sequence[Result]) -> None:
    """Put results in the place of earlier ones of the same benchmarks: the table, the picture and the JSON.

    Raises:
        PageError: as for `read_page`.
    """
    known = read_page(page) | {result.key: result for result in results}
    shown = sorted(known.values(), key=lambda result: (len(result.key), result.key))
    before, after = parts_of_page(page, _BEGIN, _END)
    page.write_text(before + section(shown) + after)
    page.with_suffix(".json").write_text(results_json(shown))
    picture = page.parent / "images" / f"{page.stem}.png"
    picture.parent.mkdir(exist_ok=True)
    save_chart(shown, picture)


def section(results: Sequence[Result]) -> str:
    """The part of a page between its marks, marks included."""
    return "\n".join([_BEGIN, *table(results), _END])


def table(results: Sequence[Result]) -> list[str]:
    """Lines of Markdown: a row for each figure, then where each benchmark was measured."""
    rows = [_row(result, figure) for result in results for figure in result.figures]
    return [*_HEAD, *rows, "", *(_place(result) for result in results)]


def results_json(results: Sequence[Result]) -> str:
    """Everything that was found, for programs; a line for each benchmark."""
    lines = ",\n".join(json.dumps(result.to_json()) for result in results)
    return f'{{"results": [\n{lines}\n]}}\n'


def _row(result: Result, figure: Figure) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    spread = " to ".join(_number(value) for value in figure.quartiles) if len(figure.values) > 1 else ""
    target = f"{figure.target.side} {figure.target.bound:g}{unit}" if figure.target else ""
    verdict = "" if result.is_quick else {True: "met", False: "missed", None: ""}[figure.is_met]
    cells = (result.key, figure.name, f"**{_number(figure.median)}**{unit}", spread, str(len(figure.values)))
    return f"| {' | '.join((*cells, target, verdict))} |"


def _place(result: Result) -> str:
    found = result.occasion
    where = f"commit {found['commit']}, {found['machine']} (load {found['load']}), {found['versions']}"
    return f"* {result.key}, {result.title}: {found['date']}, {where}."


def _number(value: float) -> str:
    return f"{value:.4g}"
