"""The part of a page of the documentation that shows runs: a table, a picture, and where they were made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.marked_page import parts_of_page
from loadtests.charts import save_summary
from loadtests.verdict import PERCENTILES, Verdict

BEGIN, END = "<!-- load: begin; `python -m loadtests --page` -->", "<!-- load: end -->"


def check_page(page: Path) -> tuple[str, str]:
    """A page's text before and behind its place for runs; to be called before minutes of load, not behind them.

    Raises:
        PageError: it can't be read or has no such place.
    """
    return parts_of_page(page, BEGIN, END)


def write_page(page: Path, verdicts: Sequence[Verdict], occasion: Mapping[str, str], target: str) -> None:
    """Put runs in the place of earlier ones, and their picture into `images/load.png` beside the page.

    Args:
        page: with the place for them.
        verdicts: of the runs.
        occasion: of `benchmarks.occasion`.
        target: what was called, in words.

    Raises:
        PageError: as for `check_page`.
    """
    before, after = check_page(page)
    picture = page.parent / "images" / "load.png"
    picture.parent.mkdir(exist_ok=True)
    save_summary(verdicts, picture)
    page.write_text(before + "\n".join([BEGIN, *section(verdicts, occasion, target), END]) + after)


def section(verdicts: Sequence[Verdict], occasion: Mapping[str, str], target: str) -> list[str]:
    """Lines of Markdown: a row for each run and number of steps, the objectives below, then the occasion."""
    shares = " | ".join(f"p{share} s" for share in PERCENTILES)
    lines = [
        f"| Scenario | Calls | a second | Ended | Goodput a second | In time | Steps | {shares} | in time within s |",
        "|---" * (8 + len(PERCENTILES)) + "|",
    ]
    for verdict in verdicts:
        scenario = verdict.plan.scenario
        ended = ", ".join(f"{number} {name}" for name, number in sorted(verdict.outcomes.items()))
        missed = [objective.name for objective in verdict.objectives if not objective.is_kept]
        head = (
            f"| {scenario.name} | {len(verdict.plan.calls)} | {verdict.plan.rate:.3g} | {ended} | "
            f"{verdict.goodput:.2f} of {verdict.throughput:.2f} | {verdict.slo_share:.1%}"
            + (f", **missed: {', '.join(missed)}**" if missed else "")
        )
        for steps, values in verdict.percentiles.items():
            name, slo = (f"{steps}", f"{verdict.slo_seconds[steps]:.2f}") if steps else ("all", "")
            lines.append(f"{head} | {name} | " + " | ".join(f"{value:.2f}" for value in values) + f" | {slo} |")
            head = "| " + " | " * 5
    late = [verdict.plan.scenario.name for verdict in verdicts if not verdict.is_trustworthy]
    doubt = (
        [f"**The caller was late in {', '.join(late)}**: these times are not the service's alone.", ""] if late else []
    )
    place = f"{occasion['date']}, commit {occasion['commit']}, {occasion['machine']}, {occasion['versions']}"
    return [*lines, "", *doubt, f"What was called: {target}. {place}."]
