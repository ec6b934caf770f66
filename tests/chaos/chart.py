"""The picture of runs: jobs that ended over time with every fault marked, and how long jobs took.

Figures are `tests.chaos.figures`'.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.small_picture import save_small
from tests.chaos.faults import Fault
from tests.chaos.history import History

_OUTCOMES = {"succeeded": "#2a7f62", "cancelled": "#8a8f98", "failed": "#c0504d"}
_MARKS = {
    "worker SIGKILL": ((Fault.KILL_WORKER, Fault.KILL_AT_COMMIT), "#c0504d"),
    "worker SIGSTOP": ((Fault.STOP_WORKER, Fault.STOP_AT_COMMIT), "#4f6d9b"),
    "worker SIGTERM": ((Fault.TERM_WORKER,), "#8064a2"),
    "queue SIGKILL": ((Fault.KILL_QUEUE,), "#d98c2b"),
    "gateway SIGKILL": ((Fault.KILL_GATEWAY,), "#333333"),
}
_WIDTH_INCHES, _RUN_INCHES, _HISTOGRAM_INCHES = 10.0, 3.4, 2.6
_MAX_BINS = 150
_LATENCY_BINS = np.geomspace(0.05, 100, 60)


def save_chart(histories: Mapping[str, History], path: Path) -> None:
    """Write a panel of time for each run, by its name, and one histogram of all of them."""
    height = _RUN_INCHES * len(histories) + _HISTOGRAM_INCHES
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    ratios = [ratio for _ in histories for ratio in (2.3, 1.1)] + [2.6]
    panels = figure.subplots(len(ratios), height_ratios=ratios, squeeze=False)[:, 0]
    for index, (name, history) in enumerate(histories.items()):
        _draw_ends(panels[2 * index], name, history)
        _draw_faults(panels[2 * index + 1], history)
        panels[2 * index].sharex(panels[2 * index + 1])
    _draw_latencies(panels[-1], list(histories.values()))
    save_small(figure, path)


def _draw_ends(panel: Axes, name: str, history: History) -> None:
    seconds = {outcome: [] for outcome in _OUTCOMES}
    for record in history.records.values():
        if record.ended_at and record.state in seconds:
            seconds[record.state].append(record.ended_at - history.started)
    last = max((max(values) for values in seconds.values() if values), default=1.0)
    edges = np.linspace(0, last, min(_MAX_BINS, max(2, int(last))) + 1)
    width = edges[1] - edges[0]
    panel.hist(
        list(seconds.values()),
        bins=edges,
        weights=[np.full(len(values), 1 / width) for values in seconds.values()],
        stacked=True,
        color=list(_OUTCOMES.values()),
        label=list(_OUTCOMES),
    )
    panel.set_title(f"{name}: jobs that ended, each second", fontsize=9, loc="left")
    panel.legend(fontsize=7, ncols=3, loc="upper right")
    panel.tick_params(labelsize=8, labelbottom=False)


def _draw_faults(panel: Axes, history: History) -> None:
    times = [
        [fault.at - history.started for fault in history.faults if fault.kind in kinds] for kinds, _ in _MARKS.values()
    ]
    colours = [colour for _, colour in _MARKS.values()]
    panel.eventplot(times, colors=colours, lineoffsets=range(len(times)), linelengths=0.8, linewidths=0.8)
    panel.set_yticks(range(len(_MARKS)), list(_MARKS), fontsize=7)
    panel.invert_yaxis()
    panel.tick_params(axis="x", labelsize=8)
    panel.set_xlabel("seconds since the load began", fontsize=8)


def _draw_latencies(panel: Axes, histories: list[History]) -> None:
    ended = [
        (record.deliveries, record.ended_at - record.created_at)
        for history in histories
        for record in history.records.values()
        if record.state == "succeeded" and record.ended_at
    ]
    panel.hist(
        [[s for deliveries, s in ended if deliveries == 1], [s for deliveries, s in ended if deliveries > 1]],
        bins=_LATENCY_BINS,
        stacked=True,
        color=["#2a7f62", "#d98c2b"],
        label=["one delivery", "several deliveries"],
    )
    panel.set_xscale("log")
    panel.set_yscale("symlog", linthresh=10)
    panel.set_title("jobs that succeeded, by seconds from acceptance to success", fontsize=9, loc="left")
    panel.legend(fontsize=7)
    panel.tick_params(labelsize=8)
