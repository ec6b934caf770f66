"""What a verification showed, as the manifest keeps it and as docs/export.md shows it.

Does not verify (`export.verify`, `export.whole_run`).
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from export.preset_quality import PresetQuality
from export.verify import GraphCheck
from export.whole_run import NUM_STEPS, RunCheck
from xmdpt.repository import PRECISIONS, write_manifest
from xmdpt.spec import LOW_DECODER, LOW_GRAPHS, VARIANTS, graph_specs

_BEGIN, _END = "<!-- verified: begin; `python -m export verify --page` -->", "<!-- verified: end -->"
_HEAD = (
    "| variant | precision | graph | computes in | error of a call | of at most | speed | bytes | run by | on |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def record(
    root: Path,
    manifest: Mapping,
    checks: Mapping[str, GraphCheck],
    runs: Sequence[RunCheck],
    presets: Mapping[str, PresetQuality],
) -> dict:
    """Write what was found into the manifest of a repository; returns the manifest.

    Args:
        root: the repository's folder.
        manifest: its manifest.
        checks: of every graph, by name.
        runs: of every sampler.
        presets: those that were compared with the exact one.
    """
    graphs = {}
    for name, check in checks.items():
        worst = max(check.errors, key=lambda error: error.error)
        graphs[name] = {
            "error": float(f"{worst.error:.2g}"),
            "tolerance": worst.tolerance,
            "unit": "grey levels" if name in ("vae_decoder", LOW_DECODER) else "relative",
            "speed": round(check.speed, 2),
            "runtime": check.runtime,
        }
    found = {
        "date": date.today().isoformat(),
        "graphs": graphs,
        "runs": {
            run.sampler: {
                "num_steps": NUM_STEPS,
                "latents_error": float(f"{run.latents_error:.2g}"),
                "psnr_db": _decibels(run.psnr),
                "min_psnr_db": run.min_psnr,
            }
            for run in runs
        },
        "presets": {
            preset: {
                "psnr_db": _decibels(quality.psnr_db),
                "least_psnr_db": _decibels(quality.least_psnr_db),
                "ssim": round(quality.ssim, 4),
                "num_pictures": quality.num_pictures,
            }
            for preset, quality in presets.items()
        },
    }
    whole = {**manifest, "verification": found}
    write_manifest(root, whole)
    return whole


def _decibels(value: float) -> float | None:
    """JSON knows no infinity."""
    return round(value, 1) if math.isfinite(value) else None


def read_page(page: Path) -> tuple[str, str, str]:
    """Return what a page says before, in and behind the place for figures.

    Raises:
        OSError: there is no such page.
        ValueError: it has no place for them.
    """
    before, begin, rest = page.read_text().partition(_BEGIN)
    old, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page}: there is no line {_BEGIN} with a line {_END} below it")
    return before, old, after


def write_page(page: Path, manifest: Mapping) -> None:
    """Put a manifest's figures into a page, in the place of those of the same variant and precision.

    Raises:
        ValueError: the page has no place for them.
    """
    before, old, after = read_page(page)
    own = (manifest["variant"], manifest["precision"])
    rows = [cells for line in old.splitlines() if len(cells := _cells(line)) > 1 and cells[0] in VARIANTS]
    rows = [cells for cells in rows if (cells[0], cells[1]) != own] + _rows(manifest)
    rows.sort(key=_place)
    lines = [*_HEAD, *(f"| {' | '.join(cells)} |" for cells in rows)]
    page.write_text(f"{before}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{after}")


def _rows(manifest: Mapping) -> list[list[str]]:
    found, variant, precision = manifest["verification"], manifest["variant"], manifest["precision"]
    rows = []
    for name, graph in found["graphs"].items():
        entry = manifest["graphs"][name]
        unit = " grey levels" if graph["unit"] == "grey levels" else ""
        # The file that all graphs share is not a graph's own.
        size = entry["bytes"] + sum(file["bytes"] for file in entry["external"] if file["path"].startswith(f"{name}/"))
        rows.append(
            [
                *(variant, precision, name, entry["precision"]),
                *(f"{graph['error']:g}{unit}", f"{graph['tolerance']:g}{unit}", f"{graph['speed']:.2f}", f"{size:,}"),
                *(graph["runtime"], found["date"]),
            ]
        )
    for sampler, run in found["runs"].items():
        psnr = "the same" if run["psnr_db"] is None else f"{run['psnr_db']} dB"
        rows.append(
            [
                *(variant, precision, f"{run['num_steps']} steps of {sampler}", ""),
                *(f"{run['latents_error']:g}, picture {psnr}", f"at least {run['min_psnr_db']} dB", "", ""),
                *("", found["date"]),
            ]
        )
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _place(cells: Sequence[str]) -> tuple:
    """Variants as they are listed, then precisions, then graphs in the order of a request and whole runs."""
    graphs = [*graph_specs(VARIANTS[cells[0]]), *LOW_GRAPHS]
    place = graphs.index(cells[2]) if cells[2] in graphs else len(graphs)
    return list(VARIANTS).index(cells[0]), PRECISIONS.index(cells[1]), place
