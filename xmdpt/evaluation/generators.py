"""What draws: photos and skeletons to pictures, whichever runtime does it.

Does not draw itself: `xmdpt.evaluation.graph_generator` does by the exported graphs, in batches and fast,
`xmdpt.evaluation.torch_generator` by the reference. Both give the same pictures within one grey level.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
"""[B, 256, 256, 3] uint8 RGB."""


@dataclass(frozen=True)
class Model:
    """What the report says of the model; `digest` changes with every weight."""

    variant: str
    engine: str
    digest: str
    weights: str
    is_trained: bool


@dataclass(frozen=True)
class Sampling:
    """How every picture of a run is drawn; the defaults are the paper's."""

    num_steps: int = 50
    guidance: float = 2.0
    sampler: str = "ddim"


class Generator(Protocol):
    """A variant with its weights, ready to draw."""

    model: Model

    def pictures(self, photos: Pictures, skeletons: Pictures, seeds: list[int], sampling: Sampling) -> Pictures:
        """Draw each photo's person in the skeleton's pose, one seed a picture."""
        ...

    def source_vectors(self, photos: Pictures) -> NDArray[np.float32]:
        """Return [B, D]: the photo extractor's tokens and the latents of each photo, pooled by CANet."""
        ...
