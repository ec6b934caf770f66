"""Pictures of a page's results: latency against load beside the virtual models, memory over jobs, and a killed worker.

`python -m benchmarks.engine.plots` draws them anew from `docs/engine.json`; nothing is measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart

from benchmarks.engine import memory_growth, mixed_latency, worker_loss
from benchmarks.figures import Result
from benchmarks.policies.comparison import Policy, capacity, simulate
from benchmarks.policies.stream import CURVE_L, CURVE_S
from benchmarks.report import read_page
from benchmarks.small_picture import save_small
from service.domain.capacity import StepCurve

LATENCY, MEMORY, WORKERS = "engine_latency.png", "engine_memory.png", "engine_workers.png"
_PAGE = Path("docs/engine.md")
_CURVES = {"S": CURVE_S, "L": CURVE_L}
# How a policy is drawn, and the side of B7 that runs it for real.
_STYLES = {
    Policy.CUT: ("#999999", "cut where lengths differ (Triton)", None),
    Policy.PAD: ("#c08a2d", "padded to the longest", None),
    Policy.BUCKET: ("#c0504d", "whole loops of equal steps", "bucketed"),
    Policy.CONTINUOUS: ("#2a7f62", "shared steps (ours)", "stepwise"),
}
_LOADS = np.arange(0.05, 0.96, 0.05).round(2).tolist()


def main() -> None:
    """Draw."""
    results = read_page(_PAGE)
    images = _PAGE.parent / "images"
    save_latency(images / LATENCY, results.get("B7"))
    if "B15" in results:
        save_memory(images / MEMORY, results["B15"])
    if "B20" in results:
        save_workers(images / WORKERS, results["B20"])


def save_latency(path: Path, real: Result | None, loads: Sequence[float] = _LOADS, num_jobs: int = 5000) -> None:
    """Write p50 and p95 against load: lines are the models in virtual time, squares the service as measured."""
    chart = Chart(figsize=(9, 7), layout="constrained")
    panels = chart.subplots(2, len(_CURVES), sharex=True, squeeze=False)
    measured = {figure.name: figure.median for figure in real.figures} if real else {}
    for column, (name, curve) in enumerate(_CURVES.items()):
        for policy, (colour, label, side) in _STYLES.items():
            stable = [load for load in loads if load < _capacity(policy, curve, num_jobs)]
            latencies = [simulate(policy, curve, load, num_jobs, 0) for load in stable]
            for panel, (quantile, share) in zip(panels[:, column], mixed_latency.QUANTILES.items(), strict=True):
                panel.plot(stable, [np.quantile(each, share) for each in latencies], color=colour, label=label)
                if side:
                    _mark(panel, measured, mixed_latency.latency_name(side, quantile, name), colour)
                panel.set_title(f"curve {name}, {quantile}", fontsize=10, loc="left")
    for panel in panels.flat:
        panel.set_yscale("log")
        panel.set_xlim(0, 1)
        panel.set_ylim(0.7, 40)
        panel.grid(alpha=0.3)
    for panel in panels[:, 0]:
        panel.set_ylabel("latency, mean jobs that are alone")
    for panel in panels[-1]:
        panel.set_xlabel("load; 1: all slots always full")
    panels[0, 0].legend(fontsize=8)
    save_small(chart, path)


def save_memory(path: Path, result: Result) -> None:
    """Write the memory of each process against the jobs that it has served."""
    chart = Chart(figsize=(8, 3.5), layout="constrained")
    panel = chart.subplots()
    for figure in result.figures:
        if len(figure.values) > 1:
            jobs = memory_growth.EVERY * np.arange(1, len(figure.values) + 1)
            panel.plot(jobs, figure.values, label=figure.name.partition(",")[0])
    panel.set_ylim(bottom=0)
    panel.set_xlabel("jobs")
    panel.set_ylabel("resident memory, MB")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    save_small(chart, path)


def save_workers(path: Path, result: Result) -> None:
    """Write the throughput over time, when workers came and when one was killed."""
    figures = {figure.name: figure for figure in result.figures}
    rates, one = figures[worker_loss.OVER_TIME].values, figures[worker_loss.ONE].median
    chart = Chart(figsize=(8, 3.5), layout="constrained")
    panel = chart.subplots()
    panel.plot(worker_loss.EVERY_SECONDS * (0.5 + np.arange(len(rates))), rates, color="#2a7f62")
    for number in (1, 2, 3):
        panel.axhline(number * one, color="#999999", linestyle=":", linewidth=1)
    for name in worker_loss.MARKS:
        at, is_kill = figures[name].median, name == worker_loss.KILL
        colour = "#c0504d" if is_kill else "#555555"
        panel.axvline(at, color=colour, linestyle="-" if is_kill else "--", linewidth=1)
        panel.annotate(name, (at, 0), (3, 4), textcoords="offset points", fontsize=8, color=colour)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("seconds from the first worker's start on; dotted: one, two and three times one worker")
    panel.set_ylabel("row-steps a second")
    save_small(chart, path)


def _capacity(policy: Policy, curve: StepCurve, num_jobs: int) -> float:
    # The stream's end, when the rows run empty, makes it a little too small.
    return 0.99 * capacity(policy, curve, num_jobs, 0)


def _mark(panel: Axes, measured: Mapping[str, float], name: str, colour: str) -> None:
    if name in measured:
        panel.plot([mixed_latency.LOAD], [measured[name]], "s", color=colour, markeredgecolor="black", markersize=8)


if __name__ == "__main__":
    main()
