"""Make body.npz, the body data that the renderer ships with, of the full dump of the body model.

`python -m xmdpt.persons.reduce full.npz xmdpt/persons/body.npz`. Keeps the vertices, triangles and identities that are
drawn, in the smallest types that do. Does not make the full dump: it holds MakeHuman's mesh, skeleton and skinning,
identities sampled from its targets, and a key point regressor.
"""

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.body import NUM_INFLUENCES, TRIANGLE_GROUPS

_NUM_KEY_POINTS = 17
# Columns of the identities' traits that spread the choice: gender, age, weight, height.
_SPREAD_TRAITS = (0, 1, 3, 4)
# Garments are cut by rest coordinates measured from this point of the mean adult, in metres.
_CUTTING_ORIGIN = np.array([0, -0.011, 0.0475])


def main(arguments: Sequence[str] | None = None) -> int:
    """Reduce one file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m xmdpt.persons.reduce", description=__doc__)
    parser.add_argument("full", type=Path, help="full dump: can, V, H, PH, w, ix, parents, bones, coco, f_*")
    parser.add_argument("reduced", type=Path, help="file to write")
    parser.add_argument("--identities", type=int, default=40, metavar="N", help="how many to keep (default: 40)")
    options = parser.parse_args(arguments)
    with np.load(options.full, allow_pickle=False) as full:
        arrays = reduce_body(dict(full), options.identities)
    _write(options.reduced, arrays)
    return 0


def _write(path: Path, arrays: dict[str, NDArray]) -> None:
    """An .npz file as numpy reads it, packed by LZMA: half of what numpy itself would write."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def reduce_body(full: dict[str, NDArray], num_identities: int) -> dict[str, NDArray]:
    """Return the arrays of the reduced file.

    Args:
        full: can [V, 3], V [I, V, 3] and H [I, B, 3] in metres, PH [I, 6] traits, w and ix [V, 8] skinning, parents and
            bones [B], coco [>= 17, V] regressor, f_GROUP [T, 3] triangles.
        num_identities: 1..I.

    Returns:
        What `xmdpt.persons.body.load_body` reads.
    """
    triangles = {group: full["f_" + group] for group in TRIANGLE_GROUPS}
    regressor = full["coco"][:_NUM_KEY_POINTS]
    drawn = np.unique(np.concatenate([t.ravel() for t in triangles.values()]))
    measured = np.flatnonzero(np.abs(regressor).sum(axis=0))
    used = np.union1d(drawn, measured)
    place = np.full(len(full["can"]), -1)
    place[used] = np.arange(len(used))

    identities = spread_identities(full["PH"], num_identities)
    bones, weights = _strongest_influences(full["ix"][used], full["w"][used])
    return {
        "rest": (full["can"][used] - _CUTTING_ORIGIN).astype(np.float32),
        "identities": full["V"][identities][:, used].astype(np.float16),
        "heads": full["H"][identities].astype(np.float32),
        "traits": full["PH"][identities].astype(np.float32),
        "influences": bones.astype(np.uint8),
        "weights": weights.astype(np.float16),
        "parents": full["parents"].astype(np.int16),
        "bones": full["bones"],
        "key_point_vertices": place[measured].astype(np.uint16),
        "key_point_weights": regressor[:, measured].astype(np.float32),
        **{"triangles " + group: place[t].astype(np.uint16) for group, t in triangles.items()},
    }


def spread_identities(traits: NDArray, count: int) -> NDArray[np.intp]:
    """Return indices of `count` rows of traits [I, 6] that lie far from each other, in rising order.

    Greedy: begins at the row nearest the mean, then always takes the row that is farthest from all taken ones.
    """
    spread = traits[:, _SPREAD_TRAITS].astype(np.float64)
    spread = (spread - spread.mean(axis=0)) / spread.std(axis=0)
    taken = [int(np.argmin((spread**2).sum(axis=1)))]
    distance = np.full(len(spread), np.inf)
    while len(taken) < count:
        distance = np.minimum(distance, ((spread - spread[taken[-1]]) ** 2).sum(axis=1))
        taken.append(int(np.argmax(distance)))
    return np.sort(np.array(taken))


def _strongest_influences(bones: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Keep the heaviest bones of each vertex, [V, 8] -> [V, NUM_INFLUENCES], weights summing to 1."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :NUM_INFLUENCES]
    kept = np.take_along_axis(weights, order, axis=1)
    return np.take_along_axis(bones, order, axis=1), kept / kept.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    sys.exit(main())
