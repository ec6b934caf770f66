"""Long runs: python -m tests.simulation.queue --operations 2000000 --seed 1."""

import argparse
import time
from collections import Counter

from tests.simulation.queue.episode import run_episode, simulation_server

_OPERATIONS_PER_EPISODE = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.queue", description=__doc__)
    parser.add_argument("--operations", type=int, default=100_000, help="in all, in episodes of 10,000")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the first episode")
    options = parser.parse_args()
    summary: Counter[str] = Counter()
    seed = options.seed
    with simulation_server() as server:
        while summary["operations"] < options.operations:
            summary += run_episode(server, seed, _OPERATIONS_PER_EPISODE)
            print(f"seed {seed} is well, {summary['operations']} operations so far", flush=True)
            seed += 1
    for name, number in sorted(summary.items()):
        print(f"{number:10}  {name}")


if __name__ == "__main__":
    main()
