"""The quality of a repository's files, step by step: the body of `python -m xmdpt.training quality`.

The pairs are drawn and scored by `xmdpt.quality.study`; options are those of `xmdpt.training.quality_command`.
"""

import time
from collections.abc import Mapping
from dataclasses import astuple

import numpy as np

from xmdpt.evaluation.mistakes import RunError
from xmdpt.evaluation.pictures import Tally
from xmdpt.nn.threads import one_thread
from xmdpt.persons.domain import DEMO
from xmdpt.quality.charts import save_box_plots, save_nearest_truths
from xmdpt.quality.features import FeatureExtractor
from xmdpt.quality.figures import Figures, joined
from xmdpt.quality.nearest import NearestTruths
from xmdpt.quality.report import (
    GENERATED,
    KINDS,
    Run,
    markdown,
    means_table,
    nearest_line,
    notes,
    report_json,
)
from xmdpt.quality.study import SHEET, Request, Study

CHART, NEAREST = "figures.png", "nearest_truth.png"
"""Pictures beside the report."""


def measure(request: Request) -> str:
    """Draw the picture of every pair, score it beside its floors and its ceiling, and write the report.

    Returns:
        Table and notes, for the terminal.

    Raises:
        InputError: something that the user gave does not fit.
        RunError: the model or the disk failed.
    """
    # The pairs are what is worked on at the same time.
    with one_thread():
        study = Study(request)
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
            Tally(*np.sum([astuple(part.tally) for part in parts], axis=0).tolist()),
            FeatureExtractor.origin,
            time.monotonic() - start,
        )
        try:
            nearest = study.write_sheet()
            return _write(request, run, figures, nearest)
        except OSError as error:
            raise RunError(f"{error.filename or request.out}: {error.strerror or error}") from None


def _write(request: Request, run: Run, figures: Mapping[str, Figures], nearest: Mapping[str, NearestTruths]) -> str:
    out = request.out
    images = [SHEET, CHART, NEAREST]
    save_box_plots(figures, GENERATED, out / CHART)
    save_nearest_truths(nearest[GENERATED], out / NEAREST)
    (out / "report.json").write_text(report_json(run, figures, nearest))
    (out / "report.md").write_text(markdown(run, figures, nearest, images))
    lines = [means_table(figures), "", *(f"* {note}" for note in notes(run, figures)), ""]
    lines.append(nearest_line(nearest))
    lines.append(f"{run.tally.num_made} pictures drawn, {run.tally.num_kept} kept, {run.seconds:.0f} s")
    return "\n".join([*lines, f"wrote {out}/report.md, report.json, {', '.join(images)}"])
