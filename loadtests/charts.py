"""The pictures of a report: when jobs came and ended, how long each took, and how the times are spread."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.small_picture import save_small
from loadtests.verdict import Verdict

_COLOURS = {
    "succeeded": "#2a7f62",
    "cancelled": "#8a8a8a",
    "refused": "#d08a00",
    "failed": "#c0504d",
    "lost": "#000000",
}
_STEP_COLOURS = ("#4338ca", "#0e7490", "#b45309", "#9d174d")
_DPI = 90


def save_chart(verdict: Verdict, path: Path) -> None:
    """Write one PNG file with three panels, one below the other."""
    figure = Figure(figsize=(10, 8.2), dpi=_DPI, layout="constrained")
    panels = figure.subplots(3)
    _draw(panels, verdict)
    save_small(figure, path)


def save_summary(verdicts: Sequence[Verdict], path: Path) -> None:
    """Write one PNG file with a row of three panels for each run."""
    figure = Figure(figsize=(13, 2.9 * len(verdicts)), dpi=_DPI, layout="constrained")
    for panels, verdict in zip(figure.subplots(len(verdicts), 3, squeeze=False), verdicts, strict=True):
        _draw(panels, verdict)
    save_small(figure, path)


def _draw(panels: Sequence[Axes], verdict: Verdict) -> None:
    counts, times, spread = panels
    records = verdict.records
    due = np.sort([record.due for record in records])
    ended = np.sort([record.ended for record in records if record.outcome == "succeeded"])
    counts.step(due, np.arange(1, len(due) + 1), where="post", color="#555555", label="due")
    counts.step(ended, np.arange(1, len(ended) + 1), where="post", color=_COLOURS["succeeded"], label="ended well")
    counts.set_ylabel("jobs")
    counts.set_title(f"{verdict.plan.scenario.name}: {verdict.plan.rate:.3g} jobs a second, {len(records)} calls")
    for outcome, colour in _COLOURS.items():
        found = [record for record in records if record.outcome == outcome]
        if found:
            x, y = [record.due for record in found], [record.seconds for record in found]
            times.plot(x, y, "o", markersize=3, alpha=0.6, color=colour, label=outcome)
    times.set_ylabel("s from due to end")
    times.set_xlabel("s from the start of the run")
    for steps, colour in zip(verdict.slo_seconds, _STEP_COLOURS, strict=False):
        values = np.sort([r.seconds for r in records if r.outcome == "succeeded" and r.steps == steps])
        if len(values):
            spread.plot(values, np.arange(1, len(values) + 1) / len(values), color=colour, label=f"{steps} steps")
            spread.axvline(verdict.slo_seconds[steps], color=colour, linestyle=":", linewidth=1)
    spread.set_ylabel("share of jobs")
    spread.set_xlabel("s from due to end; dotted: in time until here")
    spread.set_ylim(0, 1)
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.legend(loc="upper left", fontsize=8)
