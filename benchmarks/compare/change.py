"""What changed between two trees: the same figures of several rounds, side by side.

Does not measure (`benchmarks.compare.__main__`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.figures import Figure, Result

# With fewer, a third of what did not change would be marked.
_MIN_ROUNDS = 3
_HEAD = (
    "| | what | base | quartiles | now | quartiles | now / base | rounds | |",
    "|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Change:
    """One figure of both trees.

    Attributes:
        key: of its benchmark.
        base: the figure in one tree, one a round.
        now: likewise in the other one, in the same rounds.
    """

    key: str
    base: Sequence[Figure]
    now: Sequence[Figure]

    @property
    def ratios(self) -> list[float]:
        """Median now / median of the base, for each round: 1 where both are 0, infinite where only the base is."""
        pairs = zip(self.base, self.now, strict=True)
        return [_ratio(now.median, base.median) for base, now in pairs]

    @property
    def ratio(self) -> float:
        """The middle one."""
        return float(np.median(self.ratios))

    @property
    def side(self) -> Literal["higher", "lower", ""]:
        """Where all of the medians now lie of all of the base's; empty if they overlap, or are too few to tell.

        By chance that happens in 1 row of 10 with three rounds, 1 of 35 with four, 1 of 126 with five.
        """
        if len(self.now) < _MIN_ROUNDS:
            return ""
        base, now = [figure.median for figure in self.base], [figure.median for figure in self.now]
        if min(now) > max(base):
            return "higher"
        return "lower" if max(now) < min(base) else ""

    def to_json(self) -> dict[str, Any]:
        """Everything, with the statistics beside the values; an infinite ratio is null."""
        finite = [ratio if np.isfinite(ratio) else None for ratio in (self.ratio, *self.ratios)]
        return {
            "key": self.key,
            "name": self.base[0].name,
            "unit": self.base[0].unit,
            "base": [list(figure.values) for figure in self.base],
            "now": [list(figure.values) for figure in self.now],
            "ratio": finite[0],
            "ratios": finite[1:],
            "side": self.side,
        }


def changes_of(base: Sequence[Sequence[Result]], now: Sequence[Sequence[Result]]) -> tuple[list[Change], list[str]]:
    """Pair the figures of two trees by benchmark and name.

    Args:
        base: the results of each round, in one tree.
        now: likewise in the other one.

    Returns:
        What both have, in the order of `now`; and the names of what only one of them has.
    """
    before, after = _by_name(base), _by_name(now)
    changes = [Change(name[0], before[name], figures) for name, figures in after.items() if name in before]
    return changes, [" ".join(name) for name in before.keys() ^ after.keys()]


def table_of(changes: Sequence[Change]) -> list[str]:
    """Lines of Markdown: a row for each figure."""
    return [*_HEAD, *(_row(change) for change in changes)]


def _by_name(rounds: Sequence[Sequence[Result]]) -> dict[tuple[str, str], list[Figure]]:
    """The figures that every round has."""
    found: dict[tuple[str, str], list[Figure]] = {}
    for results in rounds:
        for result in results:
            for figure in result.figures:
                found.setdefault((result.key, figure.name), []).append(figure)
    return {name: figures for name, figures in found.items() if len(figures) == len(rounds)}


def _ratio(now: float, base: float) -> float:
    if base:
        return now / base
    return float("inf") if now else 1.0


def _row(change: Change) -> str:
    cells = [change.key, change.base[0].name]
    for figures in (change.base, change.now):
        values = [value for figure in figures for value in figure.values]
        lower, middle, upper = np.quantile(values, (0.25, 0.5, 0.75))
        cells += [f"{middle:.4g} {change.base[0].unit}".strip(), f"{lower:.4g} to {upper:.4g}"]
    rounds = f"{min(change.ratios):.3f} to {max(change.ratios):.3f}"
    return f"| {' | '.join((*cells, f'**{change.ratio:.3f}**', rounds, change.side))} |"
