"""The pairs of one measurement: drawn and scored a few at a time, on all cores.

Does not join what came of them, nor write the report (`xmdpt.quality.measure`).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from xmdpt.evaluation.generators import Sampling
from xmdpt.evaluation.graph_generator import GraphGenerator
from xmdpt.evaluation.pictures import Tally
from xmdpt.pose_estimation import PoseEstimator
from xmdpt.quality.baselines import Autoencoder, mean_picture
from xmdpt.quality.features import FeatureExtractor
from xmdpt.quality.figures import Figures
from xmdpt.quality.held_out import held_out_pairs
from xmdpt.quality.kept_pictures import KeptPictures
from xmdpt.quality.nearest import NearestTruths, nearest_truths
from xmdpt.quality.report import GENERATED, MEAN, REBUILT, SOURCE, TRUTH
from xmdpt.quality.scoring import Judges, Scorer
from xmdpt.quality.sheet import NUM_PAIRS, save_sheet

SHEET = "demo_sheet.png"
"""The contact sheet beside the report."""


@dataclass(frozen=True)
class Request:
    """What is to be measured, and how; each field is an option of the command.

    Attributes:
        out: folder for pictures and report.
        repository: of graphs.
        pairs: how many held-out pairs; the first ones.
        sampling: how each picture is drawn.
        seed: the picture of pair i starts from the noise of seed + i.
        jobs: threads; each draws and scores a few pairs at a time.
        batch: pairs that a thread has at once.
        sheet: where the contact sheet is written, too; None: only to `out`.
    """

    out: Path
    repository: Path = Path("model_repository")
    pairs: int = 500
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    jobs: int = 1
    batch: int = 8
    sheet: Path | None = None


@dataclass(frozen=True)
class Part:
    """What came of a few pairs."""

    identities: list[int]
    tally: Tally
    figures: Mapping[str, Figures]


class Study:
    """All that is loaded once; its parts are measured in any order."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.generator = GraphGenerator(request.repository, num_threads=1)
        self._features = FeatureExtractor()
        self._judges = Judges(self._features, PoseEstimator())
        has_autoencoder = Autoencoder.is_there(request.repository, self.generator)
        self._autoencoder = Autoencoder(request.repository, self.generator) if has_autoencoder else None
        self._kept = KeptPictures(request.out / "pictures", self.generator, request.sampling, request.seed)

    def parts(self) -> list[Part]:
        """Measure every pair; shows progress on the error stream."""
        request = self._request
        average = mean_picture()
        chunks = [
            range(start, min(start + request.batch, request.pairs)) for start in range(0, request.pairs, request.batch)
        ]
        pool = ThreadPoolExecutor(request.jobs)
        try:
            with tqdm(total=request.pairs, desc="pairs", unit="pair", smoothing=0.05) as progress:
                found = []
                for part in pool.map(lambda numbers: self._part(numbers, average), chunks):
                    found.append(part)
                    progress.update(len(part.identities))
                return found
        finally:
            # A run that fails or is stopped ends with the pairs that are in work.
            pool.shutdown(cancel_futures=True)

    def write_sheet(self) -> dict[str, NearestTruths]:
        """Write the contact sheet of the first pairs; returns what is nearest to their pictures, and to the floor's."""
        request = self._request
        numbers = range(min(NUM_PAIRS, request.pairs))
        pairs = held_out_pairs(numbers)
        pictures, _ = self._kept.pictures(numbers, pairs)
        rows = list(zip(pairs.sources, pairs.skeletons, pictures, pairs.truths.pictures, strict=True))
        how = request.sampling
        words = (
            f"The first {len(rows)} held-out pairs, not chosen. {how.sampler.upper()}, {how.num_steps} steps, "
            f"guidance {how.guidance:g}."
        )
        for path in (request.out / SHEET, request.sheet):
            if path:
                save_sheet(rows, path, words)
        return {
            kind: nearest_truths(shown, pairs.truths.pictures, self._features)
            for kind, shown in ((GENERATED, pictures), (SOURCE, pairs.sources))
        }

    def _part(self, numbers: Sequence[int], average: NDArray[np.uint8]) -> Part:
        pairs = held_out_pairs(numbers)
        truths = pairs.truths
        pictures, tally = self._kept.pictures(numbers, pairs)
        scored = {
            GENERATED: pictures,
            SOURCE: pairs.sources,
            MEAN: np.stack([average] * len(numbers)),
            TRUTH: truths.pictures,
        }
        if self._autoencoder:
            scored[REBUILT] = self._autoencoder.rebuilt(truths.pictures)
        scorer = Scorer(truths, self._judges)
        return Part(pairs.identities, tally, {kind: scorer.score(found) for kind, found in scored.items()})
