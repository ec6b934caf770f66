"""Findings for people and programs: JSON, a table a scenario, a picture, and the marked part of a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.marked_page import PageError, parts_of_page
from benchmarks.peers.charts import save_chart
from benchmarks.peers.findings import OURS, SCENARIOS, Finding, Metric, Scenario, is_met, ratio
from loadtests.peers.services import SERVICES

RESULTS, REPORT, CHART = "results.json", "report.md", "chart.png"
"""Files of a run."""
_BEGIN, _END = "<!-- measured: begin; `python -m benchmarks.peers --page` -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class Run:
    """A run, as far as it has come.

    Attributes:
        findings: in the order in which they were found.
        occasion: `benchmarks.occasion`, with the versions of the peers and the size of their batches.
        is_quick: its figures mean nothing.
    """

    findings: Sequence[Finding]
    occasion: Mapping[str, str]
    is_quick: bool

    def to_json(self) -> str:
        """Everything, for programs; a line for each finding."""
        head = json.dumps({"occasion": dict(self.occasion), "is_quick": self.is_quick})
        lines = ",\n".join(json.dumps(asdict(finding)) for finding in self.findings)
        return f'{head[:-1]}, "findings": [\n{lines}\n]}}\n'


def write_report(out: Path, run: Run) -> None:
    """Write what is known into a folder that exists; again and again while the run goes on."""
    (out / RESULTS).write_text(run.to_json())
    quick = ["A quick run: it shows that everything works, its figures mean nothing.", ""] if run.is_quick else []
    lines = ["# Peers", "", *quick, *tables(run), f"![share of jobs in time by the load, of each service]({CHART})", ""]
    (out / REPORT).write_text("\n".join(lines))
    save_chart(run.findings, out / CHART)


def check_page(page: Path) -> None:
    """Raise PageError unless the page has a place for findings."""
    parts_of_page(page, _BEGIN, _END)


def write_page(page: Path, run: Run) -> None:
    """Put a run in the place of the one before: tables, picture and JSON.

    Raises:
        PageError: as for `check_page`.
    """
    before, after = parts_of_page(page, _BEGIN, _END)
    picture = page.parent / "images" / f"{page.stem}.png"
    shown = f"![share of jobs in time by the load, of each service](images/{picture.name})"
    page.write_text("\n".join([f"{before}{_BEGIN}", *tables(run), shown, f"{_END}{after}"]))
    page.with_suffix(".json").write_text(run.to_json())
    picture.parent.mkdir(exist_ok=True)
    save_chart(run.findings, picture)


def tables(run: Run) -> list[str]:
    """Lines of Markdown: a table for each scenario that was run, then where it was measured."""
    lines: list[str] = []
    for key, scenario in SCENARIOS.items():
        found = {finding.service: finding for finding in run.findings if finding.scenario == key}
        if not found:
            continue
        head = [scenario.title, *(metric.title for metric in scenario.metrics)]
        if scenario.compared:
            side = "at most" if scenario.at_most else "at least"
            head.append("ours / it" + (f" ({side} {scenario.bound:g} wanted)" if scenario.bound is not None else ""))
        lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [_row(key, finding, found.get(OURS), len(head)) for finding in found.values()]
        lines.append("")
    where = "; ".join(f"{name} {words}" for name, words in run.occasion.items())
    return [*lines, f"Measured: {where}.", ""]


def _row(key: str, finding: Finding, ours: Finding | None, width: int) -> str:
    scenario, name = SCENARIOS[key], SERVICES[finding.service].title
    remark = finding.remark.replace("|", "/")
    if not finding.values:
        cells = [name, remark]
        return f"| {' | '.join(cells + [''] * (width - len(cells)))} |"
    cells = [(f"**{name}**" if finding.service == OURS else name) + (f" ({remark})" if remark else "")]
    cells += [_shown(metric, finding.median(metric.key)) for metric in scenario.metrics]
    if scenario.compared:
        value = None if ours is None or finding.service == OURS else ratio(scenario, ours, finding)
        cells.append("" if value is None else f"**{value:.3g}**{_judgement(scenario, value)}")
    return f"| {' | '.join(cells)} |"


def _judgement(scenario: Scenario, value: float) -> str:
    if scenario.bound is None:
        return ""
    return ", met" if is_met(scenario, value) else ", missed"


def _shown(metric: Metric, value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.1%}" if metric.share else f"{value:.3g}"


__all__ = ["CHART", "REPORT", "RESULTS", "PageError", "Run", "check_page", "tables", "write_page", "write_report"]
