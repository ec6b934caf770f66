"""The picture of a run: latency and goodput at mixed steps, on the cores and on the simulated device."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.peers.findings import OURS, Finding
from benchmarks.small_picture import save_small
from loadtests.peers.services import SERVICES

_COLUMNS = {"mixed": "this computer's cores", "simulated": "simulated device, batches of 16"}
_ROWS = {"p50": "p50, s", "p95": "p95, s", "goodput": "pictures/s in time"}
_OURS_COLOUR, _PEER_COLOUR = "#2a7f62", "#8a8a8a"
_DPI = 90


def save_chart(findings: Sequence[Finding], path: Path) -> None:
    """Write one PNG file; what was not measured is left out."""
    figure = Figure(figsize=(9, 7.5), dpi=_DPI, layout="constrained")
    panels = figure.subplots(len(_ROWS), len(_COLUMNS), squeeze=False)
    for column, (scenario, title) in enumerate(_COLUMNS.items()):
        found = [finding for finding in findings if finding.scenario == scenario and finding.values]
        names = [SERVICES[finding.service].title for finding in found]
        colours = [_OURS_COLOUR if finding.service == OURS else _PEER_COLOUR for finding in found]
        for row, (metric, label) in enumerate(_ROWS.items()):
            panel = panels[row][column]
            values = [finding.median(metric) or 0.0 for finding in found]
            bars = panel.barh(names, values, color=colours)
            panel.bar_label(bars, [f"{value:.3g}" for value in values], padding=3, fontsize=8)
            panel.invert_yaxis()
            panel.margins(x=0.15)
            panel.set_title(f"{label}: {title}", fontsize=9, loc="left")
            panel.tick_params(labelsize=8)
    save_small(figure, path)
