"""Recomputes a folder of golden numbers, made with the official classes, and says how far off each one is.

The weights follow a rule, so that no file of weights is needed. This module knows which file is recomputed by what; the
others compute.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from xmdpt.parity.encoders import ENCODER_FILES, encoder_checks
from xmdpt.parity.golden import Check, Golden, Outcome, Skipped
from xmdpt.parity.network import forward_checks, input_checks, strong_checks
from xmdpt.parity.sampling import sampling_checks
from xmdpt.parity.tables import schedule_checks, skeleton_checks
from xmdpt.parity.training import gradient_checks, training_checks

__all__ = ["SIZES", "Check", "Outcome", "Skipped", "parity"]

SIZES = ("S", "B", "L")
"""Of the network, as the files are named."""

Checks = Callable[[Golden], Iterator[Outcome]]

_PARTS: dict[str, Checks] = {
    "inputs": input_checks,
    "schedule": schedule_checks,
    "pose_render": skeleton_checks,
}
_PARTS_OF_SIZE: dict[str, Callable[[Golden, str], Iterator[Outcome]]] = {
    "forward_{}": forward_checks,
    "forward_{}_strong": strong_checks,
    "sampling_{}": sampling_checks,
    "train_{}": training_checks,
    "train_grads_{}": gradient_checks,
}


def parity(folder: Path, sizes: tuple[str, ...] = SIZES) -> Iterator[Outcome]:
    """Compare all that a folder holds, one outcome an array, as they are computed.

    Args:
        folder: of .npz and .json files; each may be absent, and within each any array.
        sizes: of the network, among `SIZES`.
    """
    for name, checks in _PARTS.items():
        yield from _file_outcomes(folder, name, checks)
    for name in ENCODER_FILES:
        yield from _file_outcomes(folder, name, lambda golden, name=name: encoder_checks(name, golden, folder))
    for size in sizes:
        for pattern, checks_of_size in _PARTS_OF_SIZE.items():
            yield from _file_outcomes(
                folder, pattern.format(size), lambda golden, checks=checks_of_size, size=size: checks(golden, size)
            )


def _file_outcomes(folder: Path, name: str, checks: Checks) -> Iterator[Outcome]:
    golden = _read(folder / name)
    if golden is None:
        yield Skipped(name, "not in this folder")
        return
    for outcome in checks(golden):
        yield replace(outcome, name=f"{name}/{outcome.name}")


def _read(path: Path) -> Golden | None:
    """The arrays of a .npz file, or the lists of numbers of a .json file."""
    arrays, lists = path.with_name(f"{path.name}.npz"), path.with_name(f"{path.name}.json")
    if arrays.is_file():
        with np.load(arrays, allow_pickle=False) as golden:
            return dict(golden)
    if lists.is_file():
        return {key: np.array(numbers) for key, numbers in json.loads(lists.read_text()).items()}
    return None
