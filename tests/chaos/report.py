"""Figures of runs for people and programs: JSON, a Markdown table, and the part of a page that shows them.

It counts nothing (`tests.chaos.figures`) and draws nothing (`tests.chaos.chart`).
"""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from benchmarks.marked_page import parts_of_page
from benchmarks.occasion import occasion
from tests.chaos.chart import save_chart
from tests.chaos.figures import AIMS, Figures
from tests.chaos.history import History

RESULTS, REPORT, CHART = "results.json", "report.md", "chart.png"
"""Files of a run."""
BEGIN, END = "<!-- measured: begin; `python -m tests.chaos --page` -->", "<!-- measured: end -->"


def write_report(out: Path, histories: Mapping[str, History], found: Mapping[str, Figures], command: str) -> None:
    """Write everything into a folder that exists; histories and figures by the name of their server."""
    lines = section(found, command)
    (out / REPORT).write_text("\n".join(["# Process chaos", "", *lines, "", f"![jobs over time]({CHART})", ""]))
    results = {
        "command": command,
        "occasion": occasion(),
        "runs": {name: {"counts": figures.counts, "seconds": figures.samples} for name, figures in found.items()},
    }
    (out / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    save_chart(histories, out / CHART)


def write_page(page: Path, histories: Mapping[str, History], found: Mapping[str, Figures], command: str) -> None:
    """Put table and picture into a page, in the place of earlier ones.

    Raises:
        PageError: as for `check_page`.
    """
    before, after = check_page(page)
    page.write_text("\n".join([before + BEGIN, *section(found, command), END + after]))
    picture = page.parent / "images" / CHART.replace("chart", "chaos")
    picture.parent.mkdir(exist_ok=True)
    save_chart(histories, picture)


def check_page(page: Path) -> tuple[str, str]:
    """A page's text before and behind its place for figures; to be called before minutes of running, not behind them.

    Raises:
        PageError: it can't be read or has no such place.
    """
    return parts_of_page(page, BEGIN, END)


def section(found: Mapping[str, Figures], command: str) -> list[str]:
    """Lines of Markdown: counts, times, and where they were found."""
    runs = dict(found)
    if len(runs) > 1:
        runs["together"] = reduce(add, found.values())
    total = list(runs.values())[-1]
    head = ["| | " + " | ".join(runs) + " | aim |", "|---|" + "---|" * (len(runs) + 1)]
    counts = [
        _row(name, [f"{run.counts[name]:,}" for run in runs.values()], f"{AIMS[name]:,}" if name in AIMS else "")
        for name in total.counts
    ]
    times_head = ["| seconds: median, 99 %, most | " + " | ".join(runs) + " |", "|---|" + "---|" * len(runs)]
    times = [_row(name, [_spread(run.samples[name]) for run in runs.values()]) for name in total.samples]
    where = occasion()
    place = f"`{command}`; {where['date']}, commit {where['commit']}, {where['machine']}."
    return [*head, *counts, "", *times_head, *times, "", place]


def _row(name: str, cells: Sequence[str], *more: str) -> str:
    return f"| {name} | {' | '.join((*cells, *more))} |"


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return ""
    return ", ".join(f"{value:.2f}" for value in (*np.percentile(seconds, (50, 99)), max(seconds)))
