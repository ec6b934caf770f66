"""What one step of the denoiser's training sees.

Does not make it: `xmdpt.training.prepared` reads it from files, `xmdpt.training.augmented` makes it of pictures.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B pairs of pictures of one person.

    Attributes:
        target: [B, 4, 32, 32] f32, scaled latents of the picture to be made.
        source: [B, 4, 32, 32] f32, scaled latents of the other picture.
        photo: f32, the source picture in [-1, 1] as its extractor's `shrink` makes it.
        skeleton: f32, the target's skeleton in [0, 1] as its extractor's `shrink` makes it.
    """

    target: Tensor
    source: Tensor
    photo: Tensor
    skeleton: Tensor

    def to(self, device: str) -> "Batch":
        """Return the same on a device."""
        return Batch(*(tensor.to(device) for tensor in (self.target, self.source, self.photo, self.skeleton)))


class Batches(Protocol):
    """Endless batches that follow from their index."""

    def batch(self, index: int, size: int) -> Batch:
        """Return the pairs of step `index`."""
        ...
