"""`python -m export`: build a model repository, or verify one.

Only words and exit statuses; the work is in `export.repository` and `export.verify`.
"""

import argparse
import sys
from pathlib import Path

from xmdpt.spec import VARIANTS

_EPILOG = """examples:
  python -m export build --variant tiny --out model_repository
  python -m export build --variant tiny --weights trained.safetensors --out model_repository
  python -m export verify --repository model_repository
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for a failed check, 2 for a mistake in the call."""
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Turn the networks into the ONNX graphs that the service and Triton run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="trace every graph and write the repository and its manifest")
    build.add_argument("--variant", choices=sorted(VARIANTS), default="tiny", help="size of the model (default: tiny)")
    build.add_argument("--out", type=Path, default=Path("model_repository"), help="folder (default: model_repository)")
    verify = commands.add_parser("verify", help="check digests, configurations and each graph against torch")
    verify.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="folder (default: model_repository)"
    )
    for command in (build, verify):
        command.add_argument(
            "--weights",
            type=Path,
            metavar="FILE",
            help="safetensors file of the whole pipeline; without it the weights are random numbers by a fixed rule",
        )
    options = parser.parse_args(arguments)
    return _build(options) if options.command == "build" else _verify(options)


def _build(options: argparse.Namespace) -> int:
    from export.repository import build_repository
    from export.weights import load_pipeline

    print(f"variant {options.variant}: making the networks", flush=True)
    try:
        pipeline, weights = load_pipeline(VARIANTS[options.variant], options.weights)
    except (OSError, ValueError) as error:
        return _refuse(error)
    print(f"weights: {weights.origin}", flush=True)
    build_repository(pipeline, weights, options.out, report=lambda line: print(line, flush=True))
    print(f"wrote {options.out}/MANIFEST.json; check it with: python -m export verify --repository {options.out}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from export.verify import RepositoryError, graph_errors, read_manifest
    from export.weights import load_pipeline

    try:
        manifest = read_manifest(options.repository)
    except RepositoryError as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1
    print(f"{options.repository}: {len(manifest['graphs'])} graphs, digests and configurations as the manifest says")
    try:
        pipeline, weights = load_pipeline(VARIANTS[manifest["variant"]], options.weights)
    except (OSError, ValueError) as error:
        return _refuse(error)
    if weights.origin != manifest["weights"]["origin"]:
        return _refuse(f"the repository was built of other weights ({manifest['weights']['origin']}): give --weights")
    print(f"{'graph':<15} {'batch':>5} {'output':<14} {'error':>9} {'tolerance':>9}")
    is_good = True
    for row in graph_errors(options.repository, pipeline):
        verdict = "ok" if row.is_within_tolerance else "FAILED"
        is_good &= row.is_within_tolerance
        print(
            f"{row.graph:<15} {row.batch_size:>5} {row.output:<14} {row.error:>9.1e} {row.tolerance:>9.0e} {verdict}",
            flush=True,
        )
    print("every graph agrees with torch" if is_good else "FAILED: a graph differs from torch")
    return 0 if is_good else 1


def _refuse(reason: object) -> int:
    print(f"python -m export: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
