"""Findings for people and programs: JSON, a table a scenario, a picture, and the marked part of a page.

A page keeps what was found of scenarios that a later run leaves out.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

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
        lines = ",\n".join(json.dumps(_rounded(asdict(finding))) for finding in self.findings)
        return f'{head[:-1]}, "findings": [\n{lines}\n]}}'

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Run":
        """Undo `to_json`, after its text has been read."""
        return cls([Finding(**finding) for finding in fields["findings"]], fields["occasion"], fields["is_quick"])

    def without(self, scenarios: Collection[str]) -> "Run":
        """What is left of it beside a later run of these."""
        return replace(self, findings=[each for each in self.findings if each.scenario not in scenarios])


def write_report(out: Path, run: Run) -> None:
    """Write what is known into a folder that exists; again and again while the run goes on."""
    (out / RESULTS).write_text(_json([run]))
    quick = ["A quick run: it shows that everything works, its figures mean nothing.", ""] if run.is_quick else []
    lines = [
        "# Peers",
        "",
        *quick,
        *tables([run]),
        f"![share of jobs in time by the load, of each service]({CHART})",
        "",
    ]
    (out / REPORT).write_text("\n".join(lines))
    save_chart(run.findings, out / CHART)


def check_page(page: Path) -> None:
    """Raise PageError unless the page has a place for findings."""
    parts_of_page(page, _BEGIN, _END)


def write_page(page: Path, run: Run) -> None:
    """Put a run in the place of what was found of its scenarios before: tables, picture and JSON.

    Raises:
        PageError: as for `check_page`.
    """
    before, after = parts_of_page(page, _BEGIN, _END)
    measured = {finding.scenario for finding in run.findings}
    earlier = [each.without(measured) for each in runs_of(page.with_suffix(".json"))]
    runs = [*(each for each in earlier if each.findings), run]
    picture = page.parent / "images" / f"{page.stem}.png"
    shown = f"![share of jobs in time by the load, of each service](images/{picture.name})"
    page.write_text("\n".join([f"{before}{_BEGIN}", *tables(runs), shown, f"{_END}{after}"]))
    page.with_suffix(".json").write_text(_json(runs))
    picture.parent.mkdir(exist_ok=True)
    save_chart([finding for each in runs for finding in each.findings], picture)


def runs_of(results: Path) -> list[Run]:
    """The runs that a JSON file holds, the earliest first; none if there is no file."""
    return [Run.of(fields) for fields in json.loads(results.read_text())["runs"]] if results.exists() else []


def _rounded(value: Any) -> Any:
    """Floats to five digits, in whatever holds them: more is not known."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case list() | tuple():
            return [_rounded(each) for each in value]
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case _:
            return value


def _json(runs: Sequence[Run]) -> str:
    return '{"runs": [\n' + ",\n".join(run.to_json() for run in runs) + "\n]}\n"


def tables(runs: Sequence[Run]) -> list[str]:
    """Lines of Markdown: a table for each scenario that was run, then when and where which were measured."""
    lines: list[str] = []
    findings = [finding for run in runs for finding in run.findings]
    for key, scenario in SCENARIOS.items():
        found = {finding.service: finding for finding in findings if finding.scenario == key}
        if not found:
            continue
        head = [scenario.title, *(metric.title for metric in scenario.metrics)]
        if scenario.compared:
            side = "at most" if scenario.at_most else "at least"
            head.append("ours / it" + (f" ({side} {scenario.bound:g} wanted)" if scenario.bound is not None else ""))
        lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [_row(key, finding, found.get(OURS), len(head)) for finding in found.values()]
        lines.append("")
    for run in runs:
        measured = {finding.scenario for finding in run.findings}
        which = ", ".join(key for key in SCENARIOS if key in measured)
        where = "; ".join(f"{name} {words}" for name, words in run.occasion.items())
        lines += [f"Measured ({which}): {where}.", ""]
    return lines


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
        cells.append("" if value is None else f"**{value:.3g}**{_spread(finding)}{_judgement(scenario, value)}")
    return f"| {' | '.join(cells)} |"


def _spread(finding: Finding) -> str:
    """Where the middle half of the rounds' ratios lies, if there were rounds."""
    if len(finding.ratios) < 2:
        return ""
    low, high = np.quantile(finding.ratios, (0.25, 0.75))
    return f" ({low:.3g} to {high:.3g})"


def _judgement(scenario: Scenario, value: float) -> str:
    if scenario.bound is None:
        return ""
    return ", met" if is_met(scenario, value) else ", missed"


def _shown(metric: Metric, value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.1%}" if metric.share else f"{value:.3g}"


__all__ = [
    "CHART",
    "REPORT",
    "RESULTS",
    "PageError",
    "Run",
    "check_page",
    "runs_of",
    "tables",
    "write_page",
    "write_report",
]
