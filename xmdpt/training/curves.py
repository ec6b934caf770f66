"""The figures of a training log as curves over the steps."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

_NOT_FIGURES = {"step", "seconds", "rate"}
_SMOOTHING_SHARE = 0.02


def save_curves(lines: Iterable[Mapping[str, float]], path: Path) -> None:
    """Write one small chart per figure of a log, its values and, where there are many, their running mean."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name in line.keys() - _NOT_FIGURES:
            found.setdefault(name, []).append((line["step"], line[name]))
    if not found:
        return
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis, (name, points) in zip(axes, sorted(found.items()), strict=False):
        steps, values = np.array(points).T
        axis.plot(steps, values, linewidth=0.7, alpha=0.4 if len(points) > 50 else 1.0, marker="." * (len(points) < 50))
        if len(points) > 50:
            axis.plot(steps, _running_mean(values), linewidth=1.4)
        axis.set_title(name)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    for axis in axes[len(found) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=80)


def _running_mean(values: np.ndarray) -> np.ndarray:
    mean, kept = values.copy(), 1 - 1 / max(2.0, _SMOOTHING_SHARE * len(values))
    for index in range(1, len(values)):
        mean[index] = kept * mean[index - 1] + (1 - kept) * values[index]
    return mean
