"""Figures to words: the table, the page report.md and the file report.json.

Does not measure (`xmdpt.evaluation.scores`) nor draw (`xmdpt.evaluation.charts`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from xmdpt.evaluation.generators import Model, Sampling
from xmdpt.evaluation.pictures import Tally
from xmdpt.evaluation.published import PUBLISHED
from xmdpt.evaluation.scores import Scores

NUM_PAPER_PAIRS = 8570
_COLUMNS = ("fid", "lpips", "ssim", "psnr")
_NOT_MEASURED_HERE = "published, not measured here"
_MEANINGS = {
    "fid": "distance of Inception features to the training photos, 256 x 176; lower is better",
    "lpips": "LPIPS on AlexNet, 256 x 176; lower is better",
    "ssim": "SSIM, Gaussian windows of sigma 1.5, 256 x 176; higher is better",
    "psnr": "PSNR in dB, 256 x 176; higher is better",
    "ssim_window_51": "SSIM, uniform windows of 51 px, 256 x 176; higher is better",
    "ssim_256x256": "SSIM, Gaussian windows of sigma 1.5, 256 x 256; higher is better",
    "psnr_256x256": "PSNR in dB, 256 x 256; higher is better",
    "pck": (
        "PCK@0.05: share of the targets' key points that BlazePose finds in the pictures, within 12.8 px of their "
        "place at 256 x 256; higher is better"
    ),
    "extractor_frechet_distance": (
        "distance of the variant's own photo features (its source vectors) to those of the targets; lower is better; "
        "not FID, and comparable only between runs of the same weights"
    ),
}


@dataclass(frozen=True)
class Run:
    """Everything about an evaluation that is not a figure.

    Attributes:
        data: what the user gave, by option, for people.
        num_fid_reference: training photos that FID compared with; 0 without FID.
    """

    model: Model
    sampling: Sampling
    seed: int
    num_pairs: int
    tally: Tally
    data: Mapping[str, str]
    num_fid_reference: int = 0


def comparison_table(run: Run, scores: Scores) -> str:
    """Return our figures beside the published ones, as a table that reads well as text and as Markdown."""
    means = {name: float(np.mean(values)) for name, values in scores.per_pair.items()} | scores.between_sets
    trained = "" if run.model.is_trained else ", untrained"
    ours = (f"this run: {run.model.variant}{trained}", "measured here", *(means.get(name) for name in _COLUMNS))
    rows = [ours, *((row.method, _NOT_MEASURED_HERE, row.fid, row.lpips, row.ssim, row.psnr) for row in PUBLISHED)]
    return table(("method", "origin", "FID", "LPIPS", "SSIM", "PSNR"), rows)


def notes(run: Run, scores: Scores) -> list[str]:
    """Return what one must know to read the figures rightly."""
    found = []
    if not run.model.is_trained:
        found.append("The weights are UNTRAINED: the pictures are noise and the figures say nothing about X-MDPT.")
    if run.num_pairs < NUM_PAPER_PAIRS:
        found.append(
            f"{run.num_pairs} pairs; the papers use {NUM_PAPER_PAIRS:,}. Distances between sets (FID, "
            "extractor_frechet_distance) are biased upwards by small sets."
        )
    if "fid" in scores.between_sets:
        found.append(f"FID compares with {run.num_fid_reference:,} photos; the papers with the 48,674 of train.lst.")
    else:
        found.append("No FID: it needs Inception weights (--inception) and the training photos (--fid-against).")
    if "lpips" not in scores.per_pair:
        found.append("No LPIPS: it needs weights (--lpips).")
    found += [
        "Source latents are the posterior's mode; the official code draws a sample. Noise differs from the official "
        "code's, too, so pictures agree in distribution, not pixel by pixel.",
        "256 x 176 is made of the 256 x 256 pictures by cv2.resize (bilinear), as in PIDM's script.",
    ]
    if run.tally.num_foreign:
        found.append(f"{run.tally.num_foreign} pictures were already there and were not drawn by this program.")
    if any(math.isinf(value) for value in scores.per_pair["psnr"] + scores.per_pair["psnr_256x256"]):
        found.append("Some pictures equal their targets: their PSNR is infinite.")
    return found


def markdown(run: Run, scores: Scores, images: Sequence[str]) -> str:
    """Return the page; `images` are file names beside it."""
    settings = [
        f"* model: {run.model.variant}, {run.model.digest}, on {run.model.engine}",
        f"* weights: {run.model.weights}",
        f"* sampling: {run.sampling.sampler}, {run.sampling.num_steps} steps, guidance {run.sampling.guidance:g}, "
        f"seeds {run.seed} to {run.seed + run.num_pairs - 1}",
        f"* pictures: {run.tally.num_made} drawn in this run, {run.tally.num_kept} kept from before",
        *(f"* {name}: {value}" for name, value in run.data.items()),
    ]
    per_pair = [
        (name, *(float(f(values)) for f in (np.mean, np.median, np.min, np.max)), _MEANINGS[name])
        for name, values in scores.per_pair.items()
    ]
    between = [(name, value, _MEANINGS[name]) for name, value in scores.between_sets.items()]
    sources = [f"* {row.method}: {row.source}" for row in PUBLISHED]
    sections = [
        "# Evaluation\n",
        comparison_table(run, scores),
        "\nRows marked so are published, not measured here, with the papers' own Inceptions and reference photos:\n",
        *sources,
        "\n## Read with care\n",
        *(f"* {note}" for note in notes(run, scores)),
        "\n## Figures\n",
        table(("one per pair", "mean", "median", "lowest", "highest", "what it is"), per_pair),
        "",
        table(("of the whole set", "value", "what it is"), between),
        "\n## Run\n",
        *settings,
        "\n## Pictures\n",
        *(f"![{name}]({name})\n" for name in images),
    ]
    return "\n".join(sections).rstrip() + "\n"


def report_json(run: Run, scores: Scores, names: Sequence[tuple[str, str]]) -> str:
    """Return the report for programs; `names` are target and source of each pair. Infinite figures become null."""
    means = {name: float(np.mean(values)) for name, values in scores.per_pair.items()}
    columns = list(scores.per_pair)
    document = {
        "model": asdict(run.model),
        "sampling": asdict(run.sampling),
        "seed": run.seed,
        "num_pairs": run.num_pairs,
        "pictures": asdict(run.tally),
        "num_fid_reference": run.num_fid_reference,
        "data": dict(run.data),
        "metrics": {name: _finite(value) for name, value in (means | scores.between_sets).items()},
        "notes": notes(run, scores),
        "per_pair": [
            {"target": target, "source": source, **dict(zip(columns, map(_finite, row), strict=True))}
            for (target, source), *row in zip(names, *scores.per_pair.values(), strict=True)
        ],
        "published_not_measured_here": [row._asdict() for row in PUBLISHED],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def table(head: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> str:
    """Return a Markdown table that reads well as text, too; numbers get four decimals, None a dash."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.4f}"
