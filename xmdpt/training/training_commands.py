"""Options of the commands that train: `prepare`, `autoencoder`, `denoiser`.

The work is in `xmdpt.training.prepare`, `xmdpt.training.autoencoder_run` and `xmdpt.training.denoiser_run`, which are
imported when their command runs: torch takes seconds.
"""

import argparse
from pathlib import Path

from xmdpt.evaluation.mistakes import InputError
from xmdpt.spec import VARIANTS
from xmdpt.training.workers import num_cores
from xmdpt.whole_numbers import whole_number

_count = whole_number(1, 10**9)
_jobs = whole_number(1, 256)
_seed = whole_number(0, 2**63)
_views = whole_number(2, 64)

TRAIN_EPILOG = """the whole way to the demo checkpoint, on the cores of one computer:
  python -m xmdpt.training render --domain demo --pairs 5000 --out data/pictures
  python -m xmdpt.training autoencoder --data data/pictures --out runs/ae
  python -m xmdpt.training prepare --autoencoder runs/ae/autoencoder.safetensors --persons 10000 --out data/pairs
  python -m xmdpt.training denoiser --autoencoder runs/ae/autoencoder.safetensors --data data/pairs \\
    --out runs/denoiser

Each command goes on where it was stopped or killed. While a run goes on its folder shows how far it is:
curves.png, sheet_<step>.png, log.jsonl. The recipes: xmdpt/training/configs/
"""


def add_prepare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `prepare`."""
    prepare = commands.add_parser(
        "prepare",
        help="render persons and encode their pictures, for the denoiser's training",
        description="Render persons and encode their pictures, for the denoiser's training. Nothing but latents and "
        "small pictures is stored: 33 kB a picture.",
    )
    prepare.set_defaults(run=_prepare)
    prepare.add_argument("--autoencoder", type=Path, required=True, metavar="FILE", help="what its training wrote")
    prepare.add_argument("--persons", type=_count, default=10_000, metavar="N", help="(default: 10000)")
    prepare.add_argument("--views", type=_views, default=4, metavar="N", help="pictures of each, 2..64 (default: 4)")
    prepare.add_argument("--domain", choices=("varied", "demo"), default="demo", help="see render (default: demo)")
    prepare.add_argument("--seed", type=_seed, default=1, metavar="N", help="of the first person (default: 1)")
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made if need be")
    prepare.add_argument("--jobs", type=_jobs, metavar="N", help="processes (default: one per core)")


def add_autoencoder(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `autoencoder`."""
    autoencoder = commands.add_parser(
        "autoencoder",
        help="train the demo's autoencoder",
        description="Train the demo's autoencoder on rendered pictures.",
        epilog=TRAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    autoencoder.set_defaults(run=_autoencoder)
    _add_run_options(autoencoder, "demo")
    autoencoder.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder that render made")


def add_denoiser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `denoiser`."""
    denoiser = commands.add_parser(
        "denoiser",
        help="train TDNet, CANet and MIPNet",
        description="Train TDNet, CANet and MIPNet: the demo with its extractors, every other size by the paper's "
        "recipe on frozen ones.",
        epilog=TRAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    denoiser.set_defaults(run=_denoiser)
    _add_run_options(denoiser, "demo, or paper with --variant")
    denoiser.add_argument("--variant", choices=sorted(VARIANTS), help="size (default: the recipe's)")
    denoiser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of prepare for the demo, else of render"
    )
    denoiser.add_argument("--autoencoder", type=Path, metavar="FILE", help="of the demo: what its training wrote")
    denoiser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1 (default: cpu)")
    denoiser.add_argument("--vae", type=Path, metavar="PATH", help="of s, b, l: diffusers folder, or its file")
    denoiser.add_argument("--dino", type=Path, metavar="DIR", help="of s, b, l: folder with DINOv2's hub files")


def _add_run_options(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--config", metavar="NAME|FILE", help=f"recipe: demo, paper or a TOML file (default: {default})"
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    command.add_argument("--init", type=Path, metavar="FILE", help="start from weights that another run published")
    command.add_argument("--save-every", type=_seconds, default=180.0, metavar="S", help="checkpoints (default: 180)")
    command.add_argument("--look-every", type=_seconds, default=300.0, metavar="S", help="sheets (default: 300)")
    command.add_argument("--stop-after", type=_seconds, metavar="S", help="end early; the same command goes on")
    command.add_argument("--jobs", type=_jobs, metavar="N", help="processes that share a batch (default: one per core)")


def _prepare(options: argparse.Namespace) -> str:
    from xmdpt.spec import PatchVaeConfig
    from xmdpt.training.prepare import PrepareRequest, prepare

    shape = VARIANTS["demo"].vae
    assert isinstance(shape, PatchVaeConfig)
    request = PrepareRequest(
        options.out, options.autoencoder, shape, options.persons, options.views, options.domain, options.seed,
        options.jobs or num_cores(),
    )  # fmt: skip
    return prepare(request)


def _autoencoder(options: argparse.Namespace) -> str:
    from xmdpt.training.autoencoder_run import AutoencoderRequest, train_autoencoder
    from xmdpt.training.configuration import read_recipe
    from xmdpt.training.parallel import on_processes

    config = options.config or "demo"
    recipe, _ = read_recipe(config)
    request = AutoencoderRequest(config, options.data, options.out, options.init, *_pace(options))
    batch_size = recipe.autoencoder.batch_size if recipe.autoencoder else 1
    return on_processes(train_autoencoder, _shares(options, batch_size), request)


def _denoiser(options: argparse.Namespace) -> str:
    from xmdpt.training.configuration import read_recipe
    from xmdpt.training.denoiser_run import DenoiserRequest, train_denoiser
    from xmdpt.training.parallel import on_processes

    config = options.config or ("demo" if options.variant in (None, "demo") else "paper")
    request = DenoiserRequest(
        config, options.variant, options.data, options.autoencoder, options.vae, options.dino, options.out,
        options.init, options.device, *_pace(options),
    )  # fmt: skip
    recipe, _ = read_recipe(config, options.variant)
    # Processes are for the cores of a CPU.
    jobs = _shares(options, recipe.denoiser.batch_size) if options.device == "cpu" else options.jobs or 1
    return on_processes(train_denoiser, jobs, request)


def _pace(options: argparse.Namespace) -> tuple[float, float, float | None]:
    return options.save_every, options.look_every, options.stop_after


def _shares(options: argparse.Namespace, batch_size: int) -> int:
    """Return how many processes share a batch: as many as there are cores, or fewer, so that its parts are equal."""
    if options.jobs and batch_size % options.jobs:
        raise InputError(f"--jobs {options.jobs}: must divide the recipe's batch_size, {batch_size}")
    return options.jobs or max(n for n in range(1, num_cores() + 1) if batch_size % n == 0)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"must be seconds above 0, not {text}")
    return value
