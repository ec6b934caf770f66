"""`python -m benchmarks.policies`: the policies side by side as a table, in about a minute and without a device."""

import argparse
from statistics import quantiles

from benchmarks.policies.comparison import Policy, capacity, simulate
from benchmarks.policies.stream import CURVE_CPU, CURVE_L, CURVE_S
from service.domain.capacity import StepCurve

_ON_GPU = (Policy.NONE, Policy.CUT, Policy.PAD, Policy.BUCKET, Policy.CONTINUOUS)
_ON_CPU = (*_ON_GPU, Policy.SHORTEST)
_CURVES = (("S", CURVE_S, _ON_GPU), ("L", CURVE_L, _ON_GPU), ("CPU", CURVE_CPU, _ON_CPU))
_LOADS = (0.3, 0.5, 0.7, 0.9)
# With less than this left over, a queue at the load grows for as long as jobs come.
_LEAST_RESERVE = 0.02
_SEED = 2


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs a figure (default: %(default)s)")
    num_jobs: int = parser.parse_args(arguments).jobs
    print(f"| curve, load | {' | '.join(_ON_CPU)} |\n|---|{'---|' * len(_ON_CPU)}")
    for name, curve, policies in _CURVES:
        capacities = {policy: capacity(policy, curve, num_jobs, _SEED) for policy in policies}
        _print_row(f"capacity {name}", [f"{value:.2f}" for value in capacities.values()])
        for load in _LOADS:
            cells = [
                _latencies(policy, curve, load, num_jobs) if capacities[policy] > load + _LEAST_RESERVE else "over"
                for policy in policies
            ]
            _print_row(f"{name} {load}: p50 / p95", cells)


def _latencies(policy: Policy, curve: StepCurve, load: float, num_jobs: int) -> str:
    cuts = quantiles(simulate(policy, curve, load, num_jobs, _SEED), n=20)
    return f"{cuts[9]:.2f} / {cuts[18]:.2f}"


def _print_row(title: str, cells: list[str]) -> None:
    padding = ["-"] * (len(_ON_CPU) - len(cells))
    print(f"| {' | '.join([title, *cells, *padding])} |", flush=True)


if __name__ == "__main__":
    main()
