"""The quality of a repository's files, step by step: the body of `python -m xmdpt.training quality`.

Each step's work is elsewhere in this package; options and words on the terminal are `xmdpt.training.__main__`'s.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from xmdpt.evaluation.generators import Sampling
from xmdpt.evaluation.graph_generator import GraphGenerator
from xmdpt.evaluation.mistakes import RunError
from xmdpt.evaluation.pictures import Tally
from xmdpt.persons.domain import DEMO
from xmdpt.pose_estimation import PoseEstimator
from xmdpt.quality.baselines import Autoencoder, mean_picture
from xmdpt.quality.charts import save_box_plots, save_nearest_truths
from xmdpt.quality.features import FeatureExtractor
from xmdpt.quality.figures import Figures, joined
from xmdpt.quality.held_out import held_out_pairs
from xmdpt.quality.kept_pictures import KeptPictures
from xmdpt.quality.nearest import NearestTruths, nearest_truths
from xmdpt.quality.report import (
    GENERATED,
    KINDS,
    MEAN,
    REBUILT,
    SOURCE,
    TRUTH,
    Run,
    markdown,
    means_table,
    notes,
    report_json,
)
from xmdpt.quality.scoring import Judges, Scorer
from xmdpt.quality.sheet import NUM_PAIRS, save_sheet

SHEET, CHART, NEAREST = "demo_sheet.png", "figures.png", "nearest_truth.png"
"""Pictures beside the report."""


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
class _Part:
    """What came of a few pairs."""

    identities: list[int]
    tally: Tally
    figures: Mapping[str, Figures]


def measure(request: Request) -> str:
    """Draw the picture of every pair, score it beside its floors and its ceiling, and write the report.

    Returns:
        Table and notes, for the terminal.

    Raises:
        InputError: something that the user gave does not fit.
        RunError: the model or the disk failed.
    """
    with _one_thread_each():
        study = _Study(request)
        start = time.monotonic()
        parts = study.parts()
        kinds = [kind for kind in KINDS if kind in parts[0].figures]
        figures = {kind: joined([part.figures[kind] for part in parts]) for kind in kinds}
        run = Run(
            study.generator.model,
            request.sampling,
            request.seed,
            DEMO.name,
            [identity for part in parts for identity in part.identities],
            Tally(
                *np.sum([[t.num_made, t.num_kept, t.num_foreign] for t in (p.tally for p in parts)], axis=0).tolist()
            ),
            FeatureExtractor.origin,
            time.monotonic() - start,
        )
        try:
            nearest = study.write_sheet()
            return _write(request, run, figures, nearest)
        except OSError as error:
            raise RunError(f"{error.filename or request.out}: {error.strerror or error}") from None


class _Study:
    """All that is loaded once; its parts are measured in any order."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.generator = GraphGenerator(request.repository, num_threads=1)
        self._features = FeatureExtractor()
        self._judges = Judges(self._features, PoseEstimator())
        has_autoencoder = Autoencoder.is_there(request.repository, self.generator)
        self._autoencoder = Autoencoder(request.repository, self.generator) if has_autoencoder else None
        self._kept = KeptPictures(request.out / "pictures", self.generator, request.sampling, request.seed)

    def parts(self) -> list[_Part]:
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

    def write_sheet(self) -> NearestTruths:
        """Write the contact sheet of the first pairs; returns what is nearest to their pictures."""
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
        return nearest_truths(pictures, pairs.truths.pictures, self._features)

    def _part(self, numbers: Sequence[int], average: NDArray[np.uint8]) -> _Part:
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
        return _Part(pairs.identities, tally, {kind: scorer.score(found) for kind, found in scored.items()})


def _write(request: Request, run: Run, figures: Mapping[str, Figures], nearest: NearestTruths) -> str:
    out = request.out
    images = [SHEET, CHART, NEAREST]
    save_box_plots(figures, GENERATED, out / CHART)
    save_nearest_truths(nearest, out / NEAREST)
    (out / "report.json").write_text(report_json(run, figures, nearest))
    (out / "report.md").write_text(markdown(run, figures, nearest, images))
    lines = [means_table(figures), "", *(f"* {note}" for note in notes(run, figures)), ""]
    lines.append(f"nearest truth its own: {nearest.num_own} of {len(nearest.distances)}")
    lines.append(f"{run.tally.num_made} pictures drawn, {run.tally.num_kept} kept, {run.seconds:.0f} s")
    return "\n".join([*lines, f"wrote {out}/report.md, report.json, {', '.join(images)}"])


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep torch from starting threads of its own: the pairs are what is worked on at the same time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
