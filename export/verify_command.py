"""What `python -m export verify` and the end of `build` do and say: every check, row by row as it ends.

Only words; the checks are in `export.manifest`, `export.verify` and `export.whole_run`, what is kept of them in
`export.figures`.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.endings import fail, refuse
from export.figures import read_page, record, write_page
from export.manifest import read_manifest
from export.preset_quality import EXACT, PresetQuality, compare_presets
from export.verify import GraphCheck, check_graph
from export.weights import WeightsOrigin, networks_of, read_origin
from export.whole_run import NUM_STEPS, RunCheck, check_runs
from xmdpt.graph_session import has_int8_instructions
from xmdpt.nn.loading import WeightPaths
from xmdpt.nn.pipeline import Networks
from xmdpt.repository import MANIFEST_NAME, RepositoryError, check_runs_here, manifest_specs
from xmdpt.spec import VARIANTS, Variant

REJECTED_NAME = "MANIFEST.rejected.json"
"""What the manifest of a new repository is called that did not pass: without a manifest nobody serves it."""


@dataclass(frozen=True)
class VerifyOptions:
    """What to compare and where to write it.

    Attributes:
        batch_sizes: of the single calls.
        is_quick: leave out the runs of 50 steps; then nothing is recorded.
        is_recorded: write what was found into the manifest.
        page: Markdown page that shows it; None for none.
        num_pictures: persons to compare presets on; 0 for none.
    """

    batch_sizes: Sequence[int]
    is_quick: bool
    is_recorded: bool
    page: Path | None
    num_pictures: int


def verify(
    root: Path,
    paths_for: Callable[[Variant], WeightPaths],
    options: VerifyOptions,
    weights: WeightsOrigin | None = None,
) -> int:
    """Check a repository; returns the exit status: 0, 1 for a failed check, 2 for other weights than it was built of.

    Args:
        root: the repository's folder.
        paths_for: the files of weights that a variant's repository was built of.
        options: what to compare and where to write it.
        weights: what those files are, if they were just read.
    """
    try:
        if options.page:
            # Before minutes of work, not behind them.
            read_page(options.page)
    except (OSError, ValueError) as error:
        return refuse(error)
    try:
        manifest = read_manifest(root)
        check_runs_here(root, manifest)
    except RepositoryError as error:
        return fail(error)
    print(f"{root}: {len(manifest['graphs'])} graphs, digests and configurations as the manifest says", flush=True)
    stated, variant = manifest["weights"], VARIANTS[manifest["variant"]]
    paths = paths_for(variant)
    try:
        weights = weights or read_origin(variant, paths, stated["is_rounded"])
    except (OSError, ValueError) as error:
        return refuse(error)
    if _digests(weights.files) != _digests(stated["files"]):
        return refuse(f"the repository was built of other weights ({stated['origin']}): give --weights, --vae, --dino")

    def networks() -> Networks:
        return networks_of(variant, paths, stated["is_rounded"])

    checks = _check_graphs(root, manifest, networks, options.batch_sizes)
    runs = [] if options.is_quick else _check_runs(root, manifest, variant, networks)
    presets = {} if options.is_quick else _compare_presets(root, manifest, options.num_pictures)
    faults = faults_of(checks, runs, presets)
    if not faults and options.is_recorded and not options.is_quick:
        try:
            manifest = record(root, manifest, checks, runs, presets)
            if options.page:
                write_page(options.page, manifest)
        except OSError as error:
            return refuse(f"{error.filename}: {error.strerror}; what was found is not recorded")
    for fault in faults:
        print(f"FAILED: {fault}")
    if faults and manifest["precision"] == "int8" and not has_int8_instructions():
        print("this processor has no instructions for int8 (VNNI): in a loop its products overflow; try another one")
    if not faults:
        print("every graph agrees with torch")
    return 1 if faults else 0


def faults_of(
    checks: Mapping[str, GraphCheck], runs: Sequence[RunCheck], presets: Mapping[str, PresetQuality]
) -> list[str]:
    """Why a repository is not to be served, a line each; none if it is."""
    errors = [error for check in checks.values() for error in check.errors]
    faults = []
    if not all(found.is_within_tolerance for found in (*errors, *runs)):
        faults.append("a graph differs from torch")
    if not all(quality.is_within_tolerance for quality in presets.values()):
        faults.append(f"pictures of a preset are too far from those of {EXACT}")
    return faults


def reject(root: Path) -> None:
    """Take the manifest from a repository that did not pass, so that it is none."""
    (root / MANIFEST_NAME).replace(root / REJECTED_NAME)
    print(f"{root}: not published; {REJECTED_NAME} says what was built", file=sys.stderr)


def _check_graphs(
    root: Path, manifest: Mapping, networks: Callable[[], Networks], batch_sizes: Sequence[int]
) -> dict[str, GraphCheck]:
    print(f"{'graph':<15} {'computes':<8} {'batch':>5} {'output':<14} {'error':>9} {'tolerance':>9} {'seconds':>8}")
    checks, start = {}, time.monotonic()
    for name in manifest_specs(manifest):
        checks[name] = check = check_graph(root, manifest, networks, name, batch_sizes)
        for row in check.errors:
            print(
                f"{row.graph:<15} {check.precision:<8} {row.batch_size:>5} {row.output:<14} {row.error:>9.1e} "
                f"{row.tolerance:>9.0e} {time.monotonic() - start:>8.1f} {_verdict(row.is_within_tolerance)}",
                flush=True,
            )
        print(f"{name:<15} {check.speed:.2f} times as fast as torch in float32, run by {check.runtime}", flush=True)
    return checks


def _check_runs(root: Path, manifest: Mapping, variant: Variant, networks: Callable[[], Networks]) -> list[RunCheck]:
    print(f"{NUM_STEPS} steps from photo to picture, against torch in float32")
    runs = []
    for run in check_runs(root, manifest, networks, variant):
        runs.append(run)
        print(
            f"{run.sampler:<26} latents {run.latents_error:.1e}, picture {run.psnr:.1f} dB "
            f"of at least {run.min_psnr:.0f} {_verdict(run.is_within_tolerance)}",
            flush=True,
        )
    return runs


def _compare_presets(root: Path, manifest: Mapping, num_pictures: int) -> dict[str, PresetQuality]:
    print(f"presets against {EXACT} on {num_pictures} held-out persons", flush=True)
    found = compare_presets(root, manifest, num_pictures)
    if not found:
        print("not compared: no persons were asked for, nobody trained the weights, or no CPU has such products")
    for preset, quality in found.items():
        print(
            f"{preset:<15} {quality.psnr_db:.1f} dB on average, {quality.least_psnr_db:.1f} at least, "
            f"of at least {quality.min_psnr_db:.0f}, SSIM {quality.ssim:.4f} {_verdict(quality.is_within_tolerance)}",
            flush=True,
        )
    return found


def _verdict(is_good: bool) -> str:
    return "ok" if is_good else "FAILED"


def _digests(files: Mapping[str, Mapping]) -> dict[str, str]:
    return {network: file["sha256"] for network, file in files.items()}
