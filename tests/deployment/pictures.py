"""Pictures of the dashboards: `python -m tests.deployment.pictures`, two minutes, needs Prometheus and matplotlib.

A real service and a real Prometheus under load; each panel's own queries, drawn here and not by Grafana.
"""

import argparse
import io
import math
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import FuncFormatter

from benchmarks.small_picture import save_small
from tests.deployment.artifacts import DASHBOARDS, ROOT
from tests.deployment.traffic import SETTINGS, Traffic, traffic
from tests.deployment.watching import query_range, running_prometheus
from tests.integration.processes import running_service

# What is worth a look after a minute in which nothing went wrong: the first so many sections of each.
_NUM_SECTIONS = {"overview": 3, "engine": 3, "queue": 2}
_WIDTH_INCHES, _UNIT_INCHES, _MARGIN_INCHES, _DPI = 11.5, 0.26, 0.75, 84
_COLOURS = ("#2f6fb0", "#d98c2b", "#2a7f62", "#c0504d", "#8064a2", "#5f9ea0", "#8a8f98", "#b0892f")
_INK, _PALE, _RED, _GREEN = "#22262b", "#e4e7ea", "#c0504d", "#2a7f62"
_MAX_LEGENDS, _MAX_LINES = 6, 24
# Clients at a time, by the share of the run in which there are so many.
_LOAD = ((0.25, 2), (0.45, 14), (0.3, 4))
# When the numbers are read.
_BUSY = 0.6


def main() -> None:
    """Serve, load, ask, draw."""
    parser = argparse.ArgumentParser(prog="python -m tests.deployment.pictures", description=__doc__)
    parser.add_argument("--seconds", type=float, default=75.0, help="of load")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images")
    options = parser.parse_args()
    program = shutil.which("prometheus")
    if program is None:
        parser.error("prometheus is not installed: make setup-system")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder), **SETTINGS) as service,
        running_prometheus(program, service, Path(folder)) as prometheus,
        traffic(service) as clients,
    ):
        started = time.time()
        _load(clients, options.seconds)
        ended = time.time()
        for name, num_sections in _NUM_SECTIONS.items():
            panels = _first_sections(DASHBOARDS[f"xmdpt-{name}"]["panels"], num_sections)
            picture = draw(DASHBOARDS[f"xmdpt-{name}"]["title"], panels, prometheus, started, ended)
            (options.out / f"dashboard_{name}.png").write_bytes(picture)


def draw(
    title: str, panels: Sequence[Mapping[str, Any]], prometheus: httpx.Client, started: float, ended: float
) -> bytes:
    """A dashboard as a PNG file, its panels where the grid has them."""
    num_units = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    busy_at = started + _BUSY * (ended - started)
    height = num_units * _UNIT_INCHES + _MARGIN_INCHES
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, facecolor="white")
    grid = GridSpec(num_units, 24, figure, 0.045, 0.1 / height, 0.985, 1 - _MARGIN_INCHES / height, 0.0, 0.0)
    figure.text(0.015, 1 - 0.26 / height, title, fontsize=12, color=_INK, weight="bold")
    note = (
        "The dashboard's own queries to a real Prometheus, drawn by this project's renderer, not by Grafana. "
        f"Simulated backend, {ended - started:.0f} s of load; numbers as of second {busy_at - started:.0f}."
    )
    figure.text(0.015, 1 - 0.5 / height, note, fontsize=7.5, color=_INK)
    for panel in panels:
        place = panel["gridPos"]
        if panel["type"] == "row":
            y = 1 - (_MARGIN_INCHES + (place["y"] + 0.7) * _UNIT_INCHES) / height
            figure.text(0.015, y, panel["title"], fontsize=8.5, color=_INK, weight="bold")
        elif panel["type"] == "stat":
            cells = grid[place["y"] : place["y"] + place["h"], place["x"] : place["x"] + place["w"]]
            _draw_stat(figure.add_subplot(cells), panel, prometheus, busy_at)
        else:
            # Room for the title above, the legend below and the axis at the left.
            first, last = place["y"] + 1, place["y"] + place["h"] - 2
            cells = grid[first:last, place["x"] + 1 : place["x"] + place["w"]]
            _draw_series(figure.add_subplot(cells), panel, prometheus, (started, ended))
    file = io.BytesIO()
    save_small(figure, file)
    return file.getvalue()


def _first_sections(panels: Sequence[Mapping[str, Any]], number: int) -> Sequence[Mapping[str, Any]]:
    starts = [index for index, panel in enumerate(panels) if panel["type"] == "row"]
    return panels[: [*starts, len(panels)][number]]


def _draw_stat(axes: Axes, panel: Mapping[str, Any], prometheus: httpx.Client, at: float) -> None:
    axes.set_axis_off()
    found = query_range(prometheus, panel["targets"][0]["expr"], at, at, 1)
    values = [value for _, points in found for _, value in points]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    value = values[0] if values else math.nan
    colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    axes.text(0.5, 0.85, panel["title"], ha="center", va="top", fontsize=7.5, color=_INK, wrap=True)
    text = _formatted(panel["fieldConfig"]["defaults"]["unit"])(value, 0)
    axes.text(0.5, 0.32, text, ha="center", va="center", fontsize=17, color=_RED if colour == "red" else _GREEN)


def _draw_series(axes: Axes, panel: Mapping[str, Any], prometheus: httpx.Client, span: tuple[float, float]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    lines = [line for target in panel["targets"] for line in _lines(target, prometheus, span)]
    if len(lines) > _MAX_LEGENDS:
        # The largest ones have a place in the legend.
        lines = sorted(lines, key=lambda line: -max(value for _, value in line[1]))[:_MAX_LINES]
    colours = [_COLOURS[index % len(_COLOURS)] for index in range(len(lines))]
    if "stacking" in defaults["custom"] and lines:
        moments = sorted({at for _, points in lines for at, _ in points})
        heights = [[dict(points).get(at, 0.0) for at in moments] for _, points in lines]
        axes.stackplot([at - span[0] for at in moments], heights, colors=colours, alpha=0.75, linewidth=0)
    for (_, points), colour in zip(lines, colours, strict=True):
        if "stacking" not in defaults["custom"]:
            axes.plot([at - span[0] for at, _ in points], [value for _, value in points], color=colour, linewidth=1)
    axes.set_title(panel["title"], fontsize=8, loc="left", color=_INK, pad=3)
    axes.set_xlim(0, span[1] - span[0])
    axes.set_ylim(bottom=0, top=None if any(value for _, points in lines for _, value in points) else 1)
    axes.yaxis.set_major_formatter(FuncFormatter(_formatted(defaults["unit"])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f} s"))
    axes.tick_params(labelsize=6.5, length=2, colors=_INK)
    axes.locator_params(axis="y", nbins=4)
    axes.grid(color=_PALE, linewidth=0.6)
    for side in axes.spines.values():
        side.set_color(_PALE)
    _draw_legend(axes, [legend for legend, _ in lines], colours)


def _draw_legend(axes: Axes, legends: Sequence[str], colours: Sequence[str]) -> None:
    handles = [axes.plot([], [], color=colour, linewidth=2)[0] for colour in colours[:_MAX_LEGENDS]]
    names = list(legends[:_MAX_LEGENDS])
    if len(legends) > _MAX_LEGENDS:
        names[-1] += f"  (+ {len(legends) - _MAX_LEGENDS})"
    axes.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.1),
        ncols=3,
        fontsize=6,
        frameon=False,
        handlelength=1.0,
        columnspacing=1.0,
        labelspacing=0.2,
        labelcolor=_INK,
    )


def _lines(
    target: Mapping[str, Any], prometheus: httpx.Client, span: tuple[float, float]
) -> Iterator[tuple[str, Sequence[tuple[float, float]]]]:
    """Legend and points of each series that has any."""
    for labels, points in query_range(prometheus, target["expr"], *span, step_seconds=1):
        if points:
            yield re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"]), points  # noqa: B023


def _formatted(unit: str) -> Callable[[float, object], str]:
    """A number as people read it."""

    def text(value: float, _: object) -> str:
        if not math.isfinite(value):
            return "none"
        if unit == "percentunit":
            return f"{100 * value:.3g} %"
        if unit == "s":
            return f"{1000 * value:.3g} ms" if abs(value) < 1 and value else f"{value:.3g} s"
        return f"{value:.3g}/s" if unit in ("ops", "reqps") else f"{value:.3g}"

    return text


def _load(clients: Traffic, seconds: float) -> None:
    """Few callers, many, few again; a batch beside the many."""
    for share, num_clients in _LOAD:
        stop_at = time.monotonic() + share * seconds
        with _callers(clients, num_clients, stop_at):
            if num_clients == max(number for _, number in _LOAD):
                clients.batch(80)
            while time.monotonic() < stop_at:
                clients.round()


@contextmanager
def _callers(clients: Traffic, number: int, stop_at: float) -> Iterator[None]:
    def call() -> None:
        while time.monotonic() < stop_at:
            clients.picture()

    threads = [threading.Thread(target=call) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
