"""The picture of a set of results: a row for each figure with a spread and a target.

Does not choose the figures (one module a benchmark).
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure as Chart

from benchmarks.figures import Result
from benchmarks.small_picture import save_small

_MET_COLOUR, _MISSED_COLOUR, _TARGET_COLOUR = "#2a7f62", "#c0504d", "#555555"
_ROW_INCHES = 0.95


def save_chart(results: Sequence[Result], path: Path) -> None:
    """Write all values of each figure as dots, their median as a bar and the target as a dashed line.

    Figures without a target or with a single value are left out; without any there is an empty picture.
    """
    figures = [
        (result.key, figure, figure.target)
        for result in results
        for figure in result.figures
        if len(figure.values) > 1 and figure.target is not None
    ]
    chart = Chart(figsize=(8, 0.4 + _ROW_INCHES * max(len(figures), 1)), layout="constrained")
    panels = chart.subplots(max(len(figures), 1), squeeze=False)[:, 0]
    panels[0].set_visible(bool(figures))
    for panel, (key, figure, target) in zip(panels, figures, strict=False):
        colour = _MET_COLOUR if figure.is_met else _MISSED_COLOUR
        unit = f" {figure.unit}" if figure.unit else ""
        lower, upper = figure.quartiles
        panel.axvspan(lower, upper, color=colour, alpha=0.2, linewidth=0)
        panel.plot(figure.values, [0.5] * len(figure.values), "o", color=colour, alpha=0.6, markersize=5)
        panel.axvline(figure.median, color=colour, linewidth=2)
        panel.axvline(target.bound, color=_TARGET_COLOUR, linestyle="--", linewidth=1)
        panel.set_title(
            f"{key}  {figure.name}: {figure.median:.4g}{unit} (target: {target.side} {target.bound:g}{unit})",
            fontsize=9,
            loc="left",
        )
        panel.set_yticks([])
        panel.tick_params(axis="x", labelsize=8)
        panel.margins(x=0.15)
    save_small(chart, path)
