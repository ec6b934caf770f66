"""Pictures for people: contact sheets of pairs, and a chart of the figures.

Does not choose the figures (`xmdpt.evaluation.scores`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.metrics import at_protocol_size
from xmdpt.evaluation.pictures import picture_path, read_picture

COLUMNS = ("source", "skeleton", "target", "generated")
_GAP_PX = 4
_HEAD_PX = 20
_MAX_BARS = 40
_NUM_BINS = 40


def save_contact_sheets(dataset: Dataset, pictures: Path, out: Path, num_rows: int, max_sheets: int) -> list[str]:
    """Write sheets of the first pairs, a pair a row, in the photos' true shape.

    Args:
        dataset: the pairs.
        pictures: folder of their pictures.
        out: folder for the sheets.
        num_rows: pairs on a sheet.
        max_sheets: further pairs are left out.

    Returns:
        Names of the files in `out`.
    """
    names = []
    for start in range(0, min(len(dataset.pairs), num_rows * max_sheets), num_rows):
        rows = [
            [
                dataset.source(pair),
                dataset.skeleton(pair),
                dataset.target(pair),
                read_picture(picture_path(pictures, pair)),
            ]
            for pair in dataset.pairs[start : start + num_rows]
        ]
        name = f"sheet_{start // num_rows:03d}.png"
        contact_sheet(rows).save(out / name)
        names.append(name)
    return names


def contact_sheet(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> Image.Image:
    """Return one sheet: a head of names, then rows of source, skeleton, target and generated, each [256, 256, 3]."""
    small = [[at_protocol_size(picture) for picture in row] for row in rows]
    height, width, _ = small[0][0].shape
    size = ((width + _GAP_PX) * len(COLUMNS) + _GAP_PX, (height + _GAP_PX) * len(rows) + _HEAD_PX + _GAP_PX)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for column, word in enumerate(COLUMNS):
        x = _GAP_PX + column * (width + _GAP_PX)
        pen.text((x, _GAP_PX), word, fill="black")
        for place, row in enumerate(small):
            sheet.paste(Image.fromarray(row[column]), (x, _HEAD_PX + _GAP_PX + place * (height + _GAP_PX)))
    return sheet


def save_chart(per_pair: Mapping[str, Sequence[float]], path: Path) -> None:
    """Write one panel a figure: a bar for each pair, or a histogram where there are many pairs."""
    figure = Figure(figsize=(7, 2.2 * len(per_pair)), layout="constrained")
    panels = figure.subplots(len(per_pair), squeeze=False)[:, 0]
    for panel, (name, values) in zip(panels, per_pair.items(), strict=True):
        finite = np.array(values)[np.isfinite(values)]
        if len(values) <= _MAX_BARS:
            panel.bar(np.arange(len(values)), np.where(np.isfinite(values), values, 0))
            panel.set_xlabel("pair")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.set_ylabel(name)
        else:
            panel.hist(finite, bins=_NUM_BINS)
            panel.set_xlabel(name)
            panel.set_ylabel("pairs")
        if len(finite):
            draw_mean = panel.axhline if len(values) <= _MAX_BARS else panel.axvline
            draw_mean(finite.mean(), color="black", linestyle="--", linewidth=1)
            panel.set_title(f"{name}: mean {finite.mean():.4f}", fontsize=9)
    figure.savefig(path, dpi=100)
