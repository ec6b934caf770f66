"""The generated pictures of one model and one way of drawing, kept in a folder of their own between runs.

Does not draw (`xmdpt.evaluation.generators`) nor know how a picture is marked (`xmdpt.evaluation.pictures`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from xmdpt.evaluation.generators import Generator, Sampling
from xmdpt.evaluation.mistakes import RunError
from xmdpt.evaluation.pictures import PictureRequest, Tally, draw_pictures, is_ours, read_picture
from xmdpt.quality.held_out import HeldOutPairs, Pictures

_KEY_DIGITS = 12


class KeptPictures:
    """Draws what is missing; a run that was stopped, or with more pairs, goes on from there. Threads may share it."""

    def __init__(self, root: Path, generator: Generator, sampling: Sampling, seed: int) -> None:
        """Make the folder.

        Args:
            root: holds a folder for each model and way of drawing.
            generator: draws.
            sampling: how.
            seed: the picture of pair i starts from the noise of seed + i.

        Raises:
            RunError: the folder cannot be made.
        """
        what = repr((generator.model.digest, astuple(sampling), seed))
        self.folder = root / hashlib.sha256(what.encode()).hexdigest()[:_KEY_DIGITS]
        self._generator, self._sampling, self._seed = generator, sampling, seed
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.folder}: {error.strerror}; give another --out") from None

    def pictures(self, numbers: Sequence[int], pairs: HeldOutPairs) -> tuple[Pictures, Tally]:
        """Return the pictures of pairs [N, 256, 256, 3], and how they came about.

        Args:
            numbers: of the pairs.
            pairs: what they are drawn from.

        Raises:
            InputError: a picture in the folder is damaged, or was drawn from another source or pose.
            RunError: drawing or writing failed; what is written stays good.
        """
        requests = [
            PictureRequest(self.folder / f"{number:05d}.png", source, skeleton, self._seed + number)
            for number, source, skeleton in zip(numbers, pairs.sources, pairs.skeletons, strict=True)
        ]
        # By path: requests hold arrays, which do not compare.
        found = {request.path for request in requests if request.path.exists()}
        missing = [request for request in requests if request.path not in found]
        kept = [request for request in requests if request.path in found]
        num_foreign = sum(not is_ours(request, self._generator.model, self._sampling) for request in kept)
        if missing:
            draw_pictures(missing, self._generator, self._sampling)
        pictures = np.stack([read_picture(request.path) for request in requests])
        return pictures, Tally(len(missing), len(kept), num_foreign)
