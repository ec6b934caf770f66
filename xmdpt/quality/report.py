"""The quality report in words and tables: for people as Markdown, for programs as JSON.

Does not work out figures (`xmdpt.quality.scoring`) nor draw charts (`xmdpt.quality.charts`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from xmdpt.evaluation.generators import Model, Sampling
from xmdpt.evaluation.pictures import Tally
from xmdpt.evaluation.report import table
from xmdpt.quality.figures import MEANINGS, Figures
from xmdpt.quality.nearest import NearestTruths

GENERATED, SOURCE, MEAN, REBUILT, TRUTH = "generated", "source copied", "mean picture", "autoencoder", "truth"

KINDS = {
    GENERATED: "what the model draws of source and pose",
    SOURCE: "floor: the source as it is, in its own pose",
    MEAN: "floor: the mean of training pictures, the same for all pairs",
    REBUILT: "ceiling: the truth, to latents and back",
    TRUTH: "the truth itself: how good the judges are",
}
"""Every kind of picture that is scored, in the order in which they are shown."""


@dataclass(frozen=True)
class Run:
    """What was measured, and how.

    Attributes:
        model: see there.
        sampling: see there.
        seed: pair i starts from the noise of seed + i.
        domain: name of the persons' domain.
        identities: [N] the body of each pair's person.
        tally: how the pictures came about.
        features: where the weights of the feature distance are from.
        seconds: of the run, without loading.
    """

    model: Model
    sampling: Sampling
    seed: int
    domain: str
    identities: Sequence[int]
    tally: Tally
    features: str
    seconds: float

    @property
    def num_pairs(self) -> int:
        """N."""
        return len(self.identities)


def means_table(figures: Mapping[str, Figures]) -> str:
    """Return the mean of every figure for every kind of picture."""
    rows = [
        (kind, *(_number(name, mean) for name, mean in figures[kind].means().items()))
        for kind in KINDS
        if kind in figures
    ]
    return table(("pictures", *(f"{m.title} {_arrow(m.is_better_high)}" for m in MEANINGS.values())), rows)


def notes(run: Run, figures: Mapping[str, Figures]) -> list[str]:
    """Return what one must know to read the figures rightly."""
    found = []
    if not run.model.is_trained:
        found.append("The weights are UNTRAINED: the pictures are noise and the figures say nothing about the model.")
    found += [
        f"{run.num_pairs} pairs of {len(set(run.identities))} bodies, none of which training sees, in clothes drawn by "
        "chance of their own. Rendered persons, not photos.",
        "SSIM misleads: a smooth background is most of a picture, so the mean picture does well by it.",
    ]
    if TRUTH in figures:
        means = figures[TRUTH].means()
        found.append(
            f"The judges themselves: on true pictures silhouettes reach {means['silhouette_iou']:.3f} and BlazePose "
            f"finds {means['pck']:.3f} of the key points. No picture can be expected to pass that."
        )
    if REBUILT not in figures:
        found.append("No autoencoder: the repository does not hold its encoder.")
    if run.tally.num_foreign:
        found.append(f"{run.tally.num_foreign} pictures were already there and were not drawn by this program.")
    return found


def nearest_line(nearest: Mapping[str, NearestTruths]) -> str:
    """Return how many of the first pictures of each kind are nearest to their own truth."""
    size = len(nearest[GENERATED].distances)
    counts = ", ".join(f"{kind} {found.num_own}" for kind, found in nearest.items())
    return f"Nearer to their own truth than to any of the other {size - 1}, of the first {size} pictures: {counts}."


def markdown(
    run: Run, figures: Mapping[str, Figures], nearest: Mapping[str, NearestTruths], images: Sequence[str]
) -> str:
    """Return the page; `images` are file names beside it."""
    settings = [
        f"* model: {run.model.variant}, {run.model.digest}, on {run.model.engine}",
        f"* weights: {run.model.weights}",
        f"* sampling: {run.sampling.sampler}, {run.sampling.num_steps} steps, guidance {run.sampling.guidance:g}, "
        f"seeds {run.seed} to {run.seed + run.num_pairs - 1}",
        f"* pairs: held-out persons 0 to {run.num_pairs - 1} of the domain {run.domain}",
        f"* pictures: {run.tally.num_made} drawn in this run, {run.tally.num_kept} kept from before",
        f"* feature distance: {run.features}",
        f"* time: {run.seconds:.0f} s",
    ]
    sections = [
        f"# Quality of {run.model.variant}\n",
        means_table(figures),
        "",
        *(f"* {kind}: {words}" for kind, words in KINDS.items() if kind in figures),
        "\n## Read with care\n",
        *(f"* {note}" for note in notes(run, figures)),
        "\n## Spread over the generated pictures\n",
        _spread_table(figures[GENERATED]),
        "\n## Nearest truth\n",
        f"{nearest_line(nearest)} By feature distance.\n",
        _nearest_table(nearest[GENERATED]),
        "\n## Figures\n",
        *(f"* {meaning.title}: {meaning.words}" for meaning in MEANINGS.values()),
        "\n## Run\n",
        *settings,
        "\n## Pictures\n",
        *(f"![{name}]({name})\n" for name in images),
    ]
    return "\n".join(sections).rstrip() + "\n"


def report_json(run: Run, figures: Mapping[str, Figures], nearest: Mapping[str, NearestTruths]) -> str:
    """Return the report for programs. Infinite and missing figures become null."""
    document = {
        "model": asdict(run.model),
        "sampling": asdict(run.sampling),
        "seed": run.seed,
        "domain": run.domain,
        "num_pairs": run.num_pairs,
        "num_bodies": len(set(run.identities)),
        "pictures": asdict(run.tally),
        "seconds": round(run.seconds, 1),
        "means": {
            kind: {name: _finite(mean) for name, mean in values.means().items()} for kind, values in figures.items()
        },
        "nearest_truth": {
            kind: {
                "num_own": found.num_own,
                "nearest": found.nearest,
                "ranks": found.ranks,
                "distances": found.distances.round(6).tolist(),
            }
            for kind, found in nearest.items()
        },
        "notes": notes(run, figures),
        "per_pair": {
            kind: {name: [_finite(value) for value in column.tolist()] for name, column in values.columns().items()}
            for kind, values in figures.items()
        },
        "bodies": list(run.identities),
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _spread_table(figures: Figures) -> str:
    quantiles = (0, 5, 25, 50, 75, 95, 100)
    rows = []
    for name, values in figures.columns().items():
        known = values[~np.isnan(values)]
        found = np.percentile(known, quantiles, method="nearest") if known.size else [math.nan] * len(quantiles)
        rows.append((MEANINGS[name].title, *(_number(name, value) for value in found)))
    return table(("figure", "lowest", "5 %", "25 %", "median", "75 %", "95 %", "highest"), rows)


def _nearest_table(nearest: NearestTruths) -> str:
    rows = enumerate(zip(nearest.nearest, nearest.ranks, strict=True))
    head = ("generated picture of pair", "nearest truth", "rank of its own")
    return table(head, [(str(pair), str(found), str(rank)) for pair, (found, rank) in rows])


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return "∞" if math.isinf(value) else f"{value:.{MEANINGS[name].decimals}f}"


def _arrow(is_better_high: bool) -> str:
    return "↑" if is_better_high else "↓"


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
