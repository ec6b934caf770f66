"""`python -m export`: build a model repository, verify one, seal it anew, or make it ready for servers other than ours.

Only words and exit statuses; the work is in `export.repository`, `export.verify_command`, `export.links`,
`export.seal` and `export.tensorrt_command`.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from export.endings import fail, refuse
from export.tensorrt_command import add_tensorrt, run_tensorrt
from xmdpt.repository import PRECISIONS, RepositoryError
from xmdpt.spec import VARIANTS
from xmdpt.whole_numbers import whole_number

if TYPE_CHECKING:
    from export.weights import WeightsOrigin
    from xmdpt.nn.loading import WeightPaths
    from xmdpt.spec import Variant

_EPILOG = """examples:
  python -m export build --variant tiny --out repository-tiny
  python -m export build --variant demo --weights demo.safetensors --low-precision int8 --out repository-demo
  python -m export build --variant s --weights ema_0.9999_300000.pt --vae sd-vae --dino dinov2 --out repository-s
  python -m export verify --repository repository-s --weights ema_0.9999_300000.pt --vae sd-vae --dino dinov2
  python -m export link --repository repository-demo
  python -m export seal --repository repository-demo
  python -m export tensorrt --repository repository-demo --out engines-demo --package tensorrt_rtx --target sm80 sm89

docs/weights.md says where the files come from, docs/tensorrt.md what engines need.
"""

# Of demo a minute's work, of the paper's sizes hours.
_PRESET_PICTURES = 32


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for a failed check, 2 for a mistake in the call."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if getattr(options, "quick", False) and (options.page or getattr(options, "record", False)):
        parser.error("--quick leaves out what is to be recorded")
    if getattr(options, "low_precision", None) and options.precision != "fp32":
        parser.error("--low-precision goes beside --precision fp32 only")
    if command := {"link": _link, "seal": _seal}.get(options.command):
        return command(options.repository)
    if options.command == "tensorrt":
        return run_tensorrt(options)
    if options.command == "verify":
        return _verify(options, options.repository)
    weights = _build(options)
    if weights is None:
        return 2
    if options.no_verify:
        return 0
    status = _verify(options, options.out, weights)
    if status:
        from export.verify_command import reject

        reject(options.out)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Turn the networks into the ONNX graphs that the service and Triton run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="trace every graph, write the repository and its manifest, verify them")
    build.add_argument("--variant", choices=sorted(VARIANTS), default="demo", help="size of the model (default: demo)")
    build.add_argument("--out", type=Path, default=Path("model_repository"), help="folder (default: model_repository)")
    build.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="of attention, MLPs and convolutions; bf16 is for TensorRT, int8 for CPUs (default: fp32)",
    )
    build.add_argument(
        "--low-precision",
        choices=PRECISIONS[1:],
        help="add step and decoder in this precision, for the presets fast and draft; int8 is for CPUs (default: none)",
    )
    build.add_argument("--half-weights", action="store_true", help="round weights to float16: half the bytes, lossy")
    build.add_argument("--no-verify", action="store_true", help="leave out the comparison with torch at the end")
    verify = commands.add_parser("verify", help="check digests, configurations, each graph and whole runs with torch")
    verify.add_argument("--record", action="store_true", help="write what was found into the manifest, as build does")
    link = commands.add_parser("link", help="put shared weights beside each graph, for Triton; our service needs none")
    seal = commands.add_parser("seal", help="check tuned configurations and take their digests into the manifest")
    add_tensorrt(commands)
    for command in (verify, link, seal):
        command.add_argument(
            "--repository", type=Path, default=Path("model_repository"), help="folder (default: model_repository)"
        )
    for command in (build, verify):
        files = command.add_argument_group(
            "files of weights; without any, those that the repository holds itself, else random numbers by a fixed rule"
        )
        files.add_argument(
            "--weights",
            type=Path,
            metavar="FILE",
            help="official X-MDPT checkpoint, .pt or .safetensors; of demo the one file with all of its networks",
        )
        files.add_argument("--vae", type=Path, metavar="PATH", help="diffusers folder of the autoencoder, or its file")
        files.add_argument("--dino", type=Path, metavar="DIR", help="folder with DINOv2's hub files for vitb14, vitg14")
        command.add_argument(
            "--batch-sizes",
            type=whole_number(1, 1024),
            nargs="+",
            default=[1, 2, 3, 8],
            metavar="N",
            help="to compare (default: 1 2 3 8)",
        )
        command.add_argument(
            "--preset-pictures",
            type=whole_number(0, 10_000),
            default=_PRESET_PICTURES,
            metavar="N",
            help="held-out persons to compare presets on, of trained weights; 0 leaves it out "
            f"(default: {_PRESET_PICTURES})",
        )
        command.add_argument("--quick", action="store_true", help="leave out the runs of 50 steps, record nothing")
        command.add_argument("--page", type=Path, metavar="FILE", help="put the recorded figures into this page too")
    return parser


def _build(options: argparse.Namespace) -> "WeightsOrigin | None":
    """Return what the repository was built of; None if that could not be read, which has been said."""
    from export.repository import build_repository
    from export.weights import networks_of, read_origin

    variant = VARIANTS[options.variant]
    paths = _weight_paths(options, options.out, variant)
    start = time.monotonic()
    print(f"variant {variant.name}: reading the weights", flush=True)
    try:
        weights = read_origin(variant, paths, options.half_weights)
    except (OSError, ValueError) as error:
        refuse(error)
        return None
    _print_origin(weights)
    try:
        build_repository(
            variant,
            lambda: networks_of(variant, paths, options.half_weights),
            weights,
            options.out,
            report=lambda line: print(line, flush=True),
            bundle=paths.files(variant).get("bundle"),
            precision=options.precision,
            low_precision=options.low_precision,
        )
    except OSError as error:
        refuse(f"{error.filename or options.out}: {error.strerror}; name another --out")
        return None
    print(f"wrote {options.out}/MANIFEST.json after {time.monotonic() - start:.1f} s", flush=True)
    return weights


def _verify(options: argparse.Namespace, repository: Path, weights: "WeightsOrigin | None" = None) -> int:
    """Compare; weights are what a build has just read, else the files are read here."""
    from export.verify_command import VerifyOptions, verify

    is_recorded = options.command == "build" or options.record or options.page is not None
    chosen = VerifyOptions(options.batch_sizes, options.quick, is_recorded, options.page, options.preset_pictures)
    return verify(repository, lambda variant: _weight_paths(options, repository, variant), chosen, weights)


def _link(repository: Path) -> int:
    from export.links import link_weights

    try:
        links = link_weights(repository)
    except RepositoryError as error:
        return fail(error)
    except OSError as error:
        return refuse(f"{error.filename}: {error.strerror}; link a copy of the repository that can be written to")
    for link in links:
        print(link)
    if not links:
        print(f"{repository}: each graph holds its weights itself, there is nothing to link")
    return 0


def _seal(repository: Path) -> int:
    from export.seal import seal_configs

    try:
        changed = seal_configs(repository)
    except RepositoryError as error:
        return fail(error)
    except OSError as error:
        return refuse(f"{error.filename}: {error.strerror}; seal a copy of the repository")
    for path in changed:
        print(f"{repository / path}: sealed")
    if not changed:
        print(f"{repository}: every configuration is the manifest's, there is nothing to seal")
    return 0


def _weight_paths(options: argparse.Namespace, repository: Path, variant: "Variant") -> "WeightPaths":
    """The files that were named; without any, the one that the repository holds itself, if it does."""
    from export.weights import own_weights
    from xmdpt.nn.loading import WeightPaths

    named = WeightPaths(options.weights, options.vae, options.dino)
    return own_weights(repository, variant) if named == WeightPaths() else named


def _print_origin(weights: "WeightsOrigin") -> None:
    for network, file in weights.files.items():
        print(f"weights of {network}: {file['name']}, {file['bytes']:,} bytes, sha256 {file['sha256']}", flush=True)
    if not weights.is_trained:
        print(f"weights: {weights.origin}", flush=True)
    if weights.is_rounded:
        print("weights are rounded to float16", flush=True)


if __name__ == "__main__":
    sys.exit(main())
