"""Held-out pairs: rendered persons that no training run sees, as the model is shown them and as they are judged.

Does not render (`xmdpt.persons`) nor judge (`xmdpt.quality.scoring`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.domain import DEMO, Domain
from xmdpt.persons.layers import GARMENTS, Material
from xmdpt.persons.render import View, render_pair
from xmdpt.skeleton import draw_skeleton

Pictures = NDArray[np.uint8]
"""[N, 256, 256, 3] uint8 RGB."""


@dataclass(frozen=True)
class Truths:
    """What N pictures should have shown.

    Attributes:
        pictures: [N, 256, 256, 3] uint8 RGB.
        silhouettes: [N, 256, 256] bool, where the person is.
        garments: [N, 256, 256] bool, where the person wears clothes or shoes.
        key_points: [N, 18, 2] float32 (x, y) in px; -1, -1 where missing.
    """

    pictures: Pictures
    silhouettes: NDArray[np.bool_]
    garments: NDArray[np.bool_]
    key_points: NDArray[np.float32]


@dataclass(frozen=True)
class HeldOutPairs:
    """N persons in two pictures each.

    Attributes:
        identities: [N] the body that each person has.
        sources: [N, 256, 256, 3] uint8 RGB, the photo that the model is shown.
        source_key_points: [N, 18, 2] float32, as `Truths.key_points`.
        skeletons: [N, 256, 256, 3] uint8 RGB, the pose that it is asked for.
        truths: the other picture.
    """

    identities: list[int]
    sources: Pictures
    source_key_points: NDArray[np.float32]
    skeletons: Pictures
    truths: Truths


def held_out_pairs(numbers: Sequence[int], domain: Domain = DEMO) -> HeldOutPairs:
    """Render pairs, 50 ms each on one core; pair i is the same in every call.

    Args:
        numbers: of the pairs, 0 or above; one at least.
        domain: what to expect of the persons.
    """
    pairs = [render_pair(number, domain, split="held_out") for number in numbers]
    sources, targets = ([pair.views[place] for pair in pairs] for place in range(2))
    return HeldOutPairs(
        identities=[pair.person.identity for pair in pairs],
        sources=np.stack([view.picture for view in sources]),
        source_key_points=np.stack([view.key_points for view in sources]),
        skeletons=np.stack([draw_skeleton(view.key_points) for view in targets]),
        truths=truths_of(targets),
    )


def truths_of(views: Sequence[View]) -> Truths:
    """Return what rendered pictures are judged by."""
    materials = np.stack([view.materials for view in views])
    return Truths(
        pictures=np.stack([view.picture for view in views]),
        silhouettes=materials != Material.BACKGROUND,
        garments=np.isin(materials, list(GARMENTS)),
        key_points=np.stack([view.key_points for view in views]),
    )
