"""What a benchmark found: figures with all of their values, what they should come to, and where they were measured.

Does not measure (`benchmarks.turns`) nor print (`benchmarks.report`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np


class DisagreementError(RuntimeError):
    """Sides that must compute the same do not, so that their times mean nothing; one line says by how much."""


class BrokenRunError(RuntimeError):
    """Something did not run as it must, so that there is nothing to measure; one line says what."""


class NotMeasuredError(RuntimeError):
    """This computer lacks what is to be measured; one line says what."""


@dataclass(frozen=True)
class Target:
    """The bound that a figure's median should keep."""

    bound: float
    side: Literal["at least", "at most"]

    def is_met(self, value: float) -> bool:
        """False also for what is not a number."""
        return value >= self.bound if self.side == "at least" else value <= self.bound


@dataclass(frozen=True)
class Figure:
    """One measured quantity.

    Attributes:
        name: what was measured.
        values: one or more, in the order in which they were measured; six digits are kept.
        unit: of the values; empty for ratios.
        target: what the median should come to, if there is such a bound.
    """

    name: str
    values: Sequence[float]
    unit: str = ""
    target: Target | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.name}: no values")
        object.__setattr__(self, "values", [float(f"{value:.6g}") for value in self.values])

    @property
    def median(self) -> float:
        """The middle value."""
        return float(np.median(self.values))

    @property
    def quartiles(self) -> tuple[float, float]:
        """A quarter of the values lies below the first, a quarter above the second."""
        lower, upper = np.quantile(self.values, (0.25, 0.75))
        return float(lower), float(upper)

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps the target; None without one."""
        return None if self.target is None else self.target.is_met(self.median)


@dataclass(frozen=True)
class Result:
    """One benchmark's run.

    Attributes:
        key: B1 and so on.
        title: of the benchmark.
        figures: what it found.
        is_quick: a cut for tests, whose figures mean nothing.
        occasion: date, commit, machine and versions, as `benchmarks.occasion` says them.
    """

    key: str
    title: str
    figures: Sequence[Figure]
    is_quick: bool
    occasion: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Everything, with the statistics beside the values."""
        found = asdict(self)
        for figure, entry in zip(self.figures, found["figures"], strict=True):
            entry |= {"median": figure.median, "quartiles": figure.quartiles, "is_met": figure.is_met}
        return found

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> "Result":
        """What `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        figures = [
            Figure(
                figure["name"],
                figure["values"],
                figure["unit"],
                Target(**figure["target"]) if figure["target"] else None,
            )
            for figure in found["figures"]
        ]
        return Result(found["key"], found["title"], figures, found["is_quick"], found["occasion"])


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """One ratio a round: what disturbs the computer for longer than a round disturbs both of its sides."""
    return [first / second for first, second in zip(numerators, denominators, strict=True)]
