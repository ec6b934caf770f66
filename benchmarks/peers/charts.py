"""The picture of a run: what share of jobs is in time as the load grows, on the cores and on the simulated device."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.peers.findings import OURS, Finding
from benchmarks.peers.scenarios import IN_TIME_SHARE, LOADS, in_time_key
from benchmarks.small_picture import save_small
from loadtests.peers.services import SERVICES

_PANELS = {"mixed": "this computer's cores", "simulated": "simulated device, batches of 16"}
_MARKERS = "sD^v<>"
_DPI = 90


def save_chart(findings: Sequence[Finding], path: Path) -> None:
    """Write one PNG file; what was not measured is left out."""
    found = {each.scenario for each in findings if each.values}
    shown = {key: title for key, title in _PANELS.items() if key in found} or _PANELS
    figure = Figure(figsize=(4.5 * len(shown), 4.2), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for panel, (scenario, title) in zip(panels, shown.items(), strict=True):
        panel.axhline(100 * IN_TIME_SHARE, color="#bbbbbb", linewidth=1)
        peers = iter(_MARKERS)
        for finding in (each for each in findings if each.scenario == scenario and each.values):
            shares = {load: finding.median(in_time_key(load)) for load in LOADS}
            measured = {load: 100 * share for load, share in shares.items() if share is not None}
            style = {"color": "#2a7f62", "linewidth": 2.5, "marker": "o"} if finding.service == OURS else {}
            style = style or {"linewidth": 1, "marker": next(peers), "markersize": 5}
            panel.plot(list(measured), list(measured.values()), label=SERVICES[finding.service].title, **style)
        panel.set_title(title, fontsize=9, loc="left")
        panel.set_xlabel("jobs that come, by what ours can do", fontsize=9)
        panel.set_ylim(0, 103)
        panel.set_xticks(LOADS)
        panel.tick_params(labelsize=8)
    figure.axes[0].set_ylabel("in time, %", fontsize=9)
    if figure.axes[0].lines[1:]:
        figure.axes[0].legend(fontsize=8, loc="lower left")
    save_small(figure, path)
