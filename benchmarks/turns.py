"""Sides that take turns, and the CPU time that each turn took.

CPU time, because other work on the computer makes a run wait but hardly makes it work; turns, because what slows the
processor down for a while then slows down all sides. Every side must keep to one thread: `xmdpt.nn.threads` for torch,
`benchmarks.graphs.Graph` for ONNX Runtime.
"""

import time
from collections.abc import Callable, Mapping

Report = Callable[[str], object]
"""Told a line whenever there is something to see."""


def take_turns(
    sides: Mapping[str, Callable[[], object]], num_rounds: int, report: Report, *, is_warm: bool = False
) -> dict[str, list[float]]:
    """Run every side once to warm it up, then all of them in each round, every other round in reverse order.

    Args:
        sides: what to run, by name.
        num_rounds: 1 or more.
        report: told the seconds of each round.
        is_warm: every side is warm already.

    Returns:
        CPU seconds of each side in each round.
    """
    if not is_warm:
        for run in sides.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(num_rounds):
        for name in reversed(list(sides)) if number % 2 else sides:
            seconds[name].append(cpu_seconds(sides[name]))
        turns = ", ".join(f"{name} {taken[-1]:.3g} s" for name, taken in seconds.items())
        report(f"round {number + 1} of {num_rounds}: {turns}")
    return seconds


def cpu_seconds(run: Callable[[], object]) -> float:
    """CPU seconds of this process, all of its threads together, while something runs."""
    start = time.process_time()
    run()
    return time.process_time() - start
