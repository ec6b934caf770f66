"""The charts of a quality report: each figure's spread beside its floors and ceiling, and the nearest truths.

Does not choose the figures (`xmdpt.quality.figures`) nor draw the contact sheet (`xmdpt.quality.sheet`).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from xmdpt.quality.figures import MEANINGS, Figures
from xmdpt.quality.nearest import NearestTruths

_COLUMNS = 3
_GENERATED_COLOUR, _OTHER_COLOUR = "#2a7f62", "#b8c4cc"
_DPI = 100


def save_box_plots(figures: Mapping[str, Figures], highlighted: str, path: Path) -> None:
    """Write a panel a figure with a box for each kind of picture: quartiles, whiskers from 5 to 95 %, mean as a dot.

    Args:
        figures: of each kind of picture, by its name.
        highlighted: the kind that the report is about.
        path: of the PNG.
    """
    num_rows = -(-len(MEANINGS) // _COLUMNS)
    chart = Figure(figsize=(4.2 * _COLUMNS, 3.4 * num_rows), layout="constrained")
    panels = chart.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
    for panel, (name, meaning) in zip(panels, MEANINGS.items(), strict=False):
        columns = [kind.columns()[name] for kind in figures.values()]
        finite = [values[np.isfinite(values)] for values in columns]
        boxes = panel.boxplot(
            finite,
            whis=(5, 95),
            showfliers=False,
            showmeans=True,
            patch_artist=True,
            medianprops={"color": "black"},
            meanprops={"marker": "o", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 4},
        )
        for box, kind in zip(boxes["boxes"], figures, strict=True):
            box.set_facecolor(_GENERATED_COLOUR if kind == highlighted else _OTHER_COLOUR)
        panel.set_xticks(range(1, len(figures) + 1), list(figures), rotation=25, ha="right")
        panel.set_title(f"{meaning.title} ({'higher' if meaning.is_better_high else 'lower'} is better)", fontsize=10)
        panel.grid(axis="y", alpha=0.3)
    for panel in panels[len(MEANINGS) :]:
        panel.set_visible(False)
    chart.savefig(path, dpi=_DPI)


def save_nearest_truths(nearest: NearestTruths, path: Path) -> None:
    """Write the distances as a map; a disc marks each picture's nearest truth, green if it is its own, else red."""
    chart = Figure(figsize=(5.6, 4.8), layout="constrained")
    panel = chart.subplots()
    picture = panel.imshow(nearest.distances, cmap="viridis_r")
    for row, column in enumerate(nearest.nearest):
        colour = "#00c060" if row == column else "#ff4040"
        panel.plot(column, row, "o", markersize=9, markerfacecolor=colour, markeredgecolor="white", markeredgewidth=1.5)
    places = range(len(nearest.distances))
    panel.set_xticks(places)
    panel.set_yticks(places)
    panel.set_xlabel("truth of pair")
    panel.set_ylabel("generated picture of pair")
    chart.colorbar(picture, label="feature distance")
    chart.savefig(path, dpi=_DPI)
