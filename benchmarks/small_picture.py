"""Charts as small files, as the documentation keeps each one that there has been."""

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

# Lines and areas in their colours, and the shades of their edges.
_NUM_COLOURS = 64


def save_small(figure: Figure, path: Path | io.BytesIO) -> None:
    """Write a chart as a PNG file of 64 colours at the most, in the figure's own dpi."""
    drawn = io.BytesIO()
    figure.savefig(drawn)
    with Image.open(drawn) as image:
        # Every colour has its place, however rare: a thin line keeps its own beside areas.
        few = image.convert("RGB").quantize(_NUM_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1)
    few.save(path, "PNG", optimize=True)
