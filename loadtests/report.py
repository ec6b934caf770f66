"""A verdict as pages: Markdown for the documentation, HTML in one file for whoever opens it."""

import base64
import html
from pathlib import Path

from loadtests.charts import save_chart
from loadtests.verdict import PERCENTILES, Verdict

CHART = "chart.png"


def write_report(verdict: Verdict, occasion: str, folder: Path) -> None:
    """Write report.md, chart.png and report.html.

    Args:
        verdict: of a run.
        occasion: which machine, when, and what was aimed at, in one line.
        folder: is there.
    """
    save_chart(verdict, folder / CHART)
    text = markdown(verdict, occasion)
    (folder / "report.md").write_text(text)
    (folder / "report.html").write_text(_page(verdict, text, (folder / CHART).read_bytes()))


def markdown(verdict: Verdict, occasion: str) -> str:
    """The whole report but its picture, which it names."""
    scenario = verdict.plan.scenario
    num_calls = len(verdict.plan.calls)
    rows = ["| Steps | " + " | ".join(f"p{share} s" for share in PERCENTILES) + " | in time within s |"]
    rows.append("|---" * (len(PERCENTILES) + 2) + "|")
    for steps, values in verdict.percentiles.items():
        name, slo = (steps, f"{verdict.slo_seconds[steps]:.2f}") if steps else ("all", "")
        rows.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + f" | {slo} |")
    kept = ["| Objective | Bound | Value | |", "|---|---|---|---|"]
    for objective in verdict.objectives:
        mark = "kept" if objective.is_kept else "**missed**"
        kept.append(f"| {objective.name} | {objective.bound:g} | {objective.value:.4g} | {mark} |")
    outcomes = ", ".join(f"{number} {name}" for name, number in sorted(verdict.outcomes.items()))
    codes = "".join(f", {number} of them `{code}`" for code, number in sorted(verdict.codes.items()))
    lines = [
        f"### {scenario.name}",
        "",
        scenario.about,
        "",
        f"{occasion}. {num_calls} calls in {scenario.seconds:g} s, {verdict.plan.rate:.3g} a second at the mean "
        f"({scenario.arrivals}): {outcomes}{codes}.",
        "",
        *kept,
        "",
        f"{verdict.throughput:.2f} pictures a second, {verdict.goodput:.2f} of them in time. Seconds from when a job "
        "was due to its end, of jobs that ended well:",
        "",
        *rows,
        "",
    ]
    if not verdict.is_trustworthy:
        lines += [
            f"**The caller itself was up to {verdict.late_seconds:.2f} s late**: the machine that calls was too busy, "
            "and these times are not the service's alone.",
            "",
        ]
    return "\n".join([*lines, f"![calls, their times, and how these are spread]({CHART})", ""])


def _page(verdict: Verdict, text: str, chart: bytes) -> str:
    """The Markdown as it stands reads well enough: the page adds the picture and needs no other file."""
    head = "objectives kept" if verdict.is_kept else "objectives missed"
    picture = base64.b64encode(chart).decode()
    body = html.escape(text[: text.rindex("![")])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{verdict.plan.scenario.name}: {head}</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
        "pre{white-space:pre-wrap;font:13px/1.5 ui-monospace,monospace}img{max-width:100%}</style>"
        f"<h1>{verdict.plan.scenario.name}: {head}</h1><pre>{body}</pre>"
        f'<img alt="calls, their times, and how these are spread" src="data:image/png;base64,{picture}"></html>\n'
    )
