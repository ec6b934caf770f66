"""The report on accuracy: figures beside what is asked of them, with the pictures.

Does not measure (`xmdpt.pose_estimation.accuracy.measure`).
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from xmdpt.pose_estimation.accuracy.charts import save_charts, save_worst
from xmdpt.pose_estimation.accuracy.measure import Figures, Result, figures_of
from xmdpt.pose_estimation.accuracy.pck import THRESHOLD

LEAST_PCK = 0.93
"""Of the demo's rendered persons."""
MOST_MEDIAN_ERROR_PX = 6.0
"""Of annotated photos, px of the 256 px square."""
MOST_MS = 60.0
"""For one photo on one core; hoped for, not asked for: it depends on the core."""


@dataclass(frozen=True)
class Demand:
    """A figure and its bound.

    Attributes:
        words: the figure and the bound, for people.
        is_met: whether it holds.
    """

    words: str
    is_met: bool


def demands(name: str, figures: Figures) -> list[Demand]:
    """Return what is asked of photos of this kind: "demo", "varied" or "samples"."""
    if name == "demo":
        words = f"PCK@{THRESHOLD} {figures.pck:.3f}, at least {LEAST_PCK}"
        return [Demand(words, figures.pck >= LEAST_PCK)]
    if name == "samples":
        words = f"median error {figures.median_error:.1f} px, at most {MOST_MEDIAN_ERROR_PX:g}"
        return [Demand(words, figures.median_error <= MOST_MEDIAN_ERROR_PX)]
    return []


def write_report(results: Mapping[str, Sequence[Result]], out: Path) -> tuple[str, bool]:
    """Write report.md, errors.png and a sheet of the worst photos of each kind.

    Args:
        results: by the kind of photos.
        out: folder; made if need be.

    Returns:
        The report, and whether all demands are met.

    Raises:
        OSError: a file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures = {name: figures_of(each) for name, each in results.items()}
    save_charts(results, out / "errors.png")
    for name, each in results.items():
        save_worst(each, out / f"worst_{name}.png")
    asked = [(name, demand) for name in figures for demand in demands(name, figures[name])]
    speed = [
        f"* {name}: {each.median_ms:.0f} ms a photo, below {MOST_MS:g} hoped for" for name, each in figures.items()
    ]
    date = datetime.now(UTC).date().isoformat()
    lines = [
        "# Poses from photos: accuracy\n",
        _table(figures),
        "\nErrors are in px of the 256 px square, of points that are truly there and were found; PCK counts those that "
        f"were not found as wrong. Times are processor time of one thread. {_machine()}; {date}.\n",
        "## Asked for\n",
        *(f"* {name}: {demand.words}: {'met' if demand.is_met else 'MISSED'}" for name, demand in asked),
        *speed,
        "\n## Pictures\n",
        "![errors](errors.png)\n",
        *(f"The worst of {name}: true places green, found ones red, missed ones orange.\n\n![worst](worst_{name}.png)\n"
          for name in results),
    ]  # fmt: skip
    text = "\n".join(lines).rstrip() + "\n"
    (out / "report.md").write_text(text, encoding="utf-8")
    return text, all(demand.is_met for _, demand in asked)


def _table(figures: Mapping[str, Figures]) -> str:
    head = (
        "| photos | number | found | PCK@0.05 | median error, px | mean error, px | missed | invented | ms, median | "
        "ms, mean |"
    )
    rows = [
        f"| {name} | {each.num_photos} | {each.num_found} | {each.pck:.3f} | {each.median_error:.1f} | "
        f"{each.mean_error:.1f} | {each.missed_share:.1%} | {each.invented_share:.1%} | {each.median_ms:.0f} | "
        f"{each.mean_ms:.0f} |"
        for name, each in figures.items()
    ]
    return "\n".join([head, "|---" * 10 + "|", *rows])


def _machine() -> str:
    """The processor, as far as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores"
