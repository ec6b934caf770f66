"""One run of the denoiser's training: `python -m xmdpt.training denoiser`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xmdpt.evaluation.mistakes import InputError
from xmdpt.nn.bundle import save_bundle
from xmdpt.nn.checkpoint import official_name
from xmdpt.nn.loading import LoadedNetworks, WeightPaths
from xmdpt.nn.network import TrainableXMDPT
from xmdpt.nn.pipeline import Networks, Pipeline, build_extractor, build_pipeline
from xmdpt.nn.weight_files import read_state
from xmdpt.persons.domain import DEMO
from xmdpt.repository import file_digest
from xmdpt.spec import ConvExtractorConfig, PatchVaeConfig, Variant
from xmdpt.training import parallel
from xmdpt.training.augmented import AugmentedPairs
from xmdpt.training.batches import Batches
from xmdpt.training.configuration import Recipe, read_recipe
from xmdpt.training.denoiser import Denoiser, DenoiserConfig, DenoiserTask
from xmdpt.training.held_out import HeldOut
from xmdpt.training.loop import Pace, end_of, told_errors, train
from xmdpt.training.pairs import PairsOnTheFly, RenderedPair, RenderedPairs
from xmdpt.training.preparation import Preparation
from xmdpt.training.prepare import read_autoencoder
from xmdpt.training.prepared import PreparedPairs
from xmdpt.training.run_files import RunFolder, save_tensors

# The held-out pairs that quality is measured on begin at 0.
_FIRST_HELD_OUT = 10_000
_ORIGIN = {"origin": "trained by this project on persons that it rendered"}


@dataclass(frozen=True)
class DenoiserRequest:
    """What to train.

    Attributes:
        config: name or path of the recipe.
        variant: in the place of the recipe's own.
        data: folder of `prepare` for the demo, of `render` for other sizes.
        autoencoder: the demo's, as its training wrote it.
        vae, dino: the official files of other sizes, or none for an untrained `tiny`.
        out: folder of the run.
        init: weights to start from: what another run published.
        device: where the steps run.
        save_seconds, look_seconds, limit_seconds: see `xmdpt.training.loop.Pace`.
    """

    config: str
    variant: str | None
    data: Path
    autoencoder: Path | None
    vae: Path | None
    dino: Path | None
    out: Path
    init: Path | None
    device: str
    save_seconds: float
    look_seconds: float
    limit_seconds: float | None


def train_denoiser(request: DenoiserRequest) -> str:
    """Train from where the run stands; returns one line for the terminal.

    Raises:
        InputError: recipe, data or weights can't be read or don't fit, or the folder holds another run.
    """
    recipe, variant = read_recipe(request.config, request.variant)
    _check_device(request.device)
    make = _demo_task if isinstance(variant.pose_extractor, ConvExtractorConfig) else _paper_task
    with told_errors(request.out):
        folder = RunFolder(request.out, _description(request, recipe))
        task = make(request, recipe, variant)
        config = recipe.denoiser
        pace = Pace(
            config.num_steps, config.batch_size, request.save_seconds, request.look_seconds, request.limit_seconds
        )
        return end_of(request.out, train(task, folder, pace, "denoiser"))


def _description(request: DenoiserRequest, recipe: Recipe) -> dict[str, Any]:
    """What the run depends on beside its recipe, too; processes draw their parts of a batch by their number."""
    files = {name: getattr(request, name) for name in ("autoencoder", "init")}
    digests = {name: file_digest(path) if path else None for name, path in files.items()}
    return {**recipe.description("denoiser"), **digests, "jobs": parallel.count()}


def _demo_task(request: DenoiserRequest, recipe: Recipe, variant: Variant) -> DenoiserTask:
    """The extractors are trained too; what is published is everything that serves, in one file."""
    assert isinstance(variant.vae, PatchVaeConfig)
    if request.autoencoder is None:
        raise InputError(f"the variant {variant.name} needs --autoencoder, what its training wrote")
    pipeline = build_pipeline(variant)
    pipeline.vae = read_autoencoder(variant.vae, request.autoencoder)
    preparation = Preparation(variant, pipeline.vae, pipeline.pose_extractor, pipeline.photo_extractor)
    config = recipe.denoiser
    unseen = PairsOnTheFly(config.num_held_out, DEMO, "held_out", seed=_FIRST_HELD_OUT)
    pairs = PreparedPairs(request.data, recipe.seed, file_digest(request.autoencoder))
    held_out = _held_out(preparation, pipeline, config, [unseen[i] for i in range(len(unseen))])

    def extractors() -> tuple[nn.Module, nn.Module]:
        return build_extractor(variant.pose_extractor), build_extractor(variant.photo_extractor)

    def publish(denoiser: Denoiser) -> None:
        save_bundle(_served(pipeline, denoiser), request.out / f"{variant.name}.safetensors", _ORIGIN)
        # MIPNet included, for a run that is to go on from here.
        save_tensors(denoiser.state_dict(), request.out / "ema.safetensors")

    return DenoiserTask(
        variant, config, extractors, pairs, held_out.look, publish,
        recipe.seed, _init(request, variant), request.device,
    )  # fmt: skip


def _paper_task(request: DenoiserRequest, recipe: Recipe, variant: Variant) -> DenoiserTask:
    """Extractors and autoencoder are frozen; what is published has the official checkpoint's names."""
    if variant.name != "tiny" and None in (request.vae, request.dino):
        raise InputError(
            f"the variant {variant.name} needs --vae and --dino: its autoencoder and extractors are frozen"
        )
    networks = LoadedNetworks(variant, WeightPaths(None, request.vae, request.dino))
    preparation = Preparation(variant, networks.vae, networks.pose_extractor, networks.photo_extractor)
    pairs = RenderedPairs(request.data)
    config = recipe.denoiser
    num_held_out = min(config.num_held_out, len(pairs) // 4)
    if num_held_out == 0:
        raise InputError(f"{request.data} holds {len(pairs)} pairs; at least 4 are needed")
    held_out = _held_out(preparation, networks, config, [pairs[i] for i in range(num_held_out)])
    rest = _Part(pairs, range(num_held_out, len(pairs)))
    batches: Batches = AugmentedPairs(rest, preparation, recipe.seed)

    def publish(denoiser: Denoiser) -> None:
        state = {official_name(name): value for name, value in denoiser.xmdpt.state_dict().items()}
        save_tensors(state, request.out / "ema.safetensors")

    return DenoiserTask(
        variant, config, lambda: (nn.Identity(), nn.Identity()), batches, held_out.look, publish,
        recipe.seed, _init(request, variant), request.device,
    )  # fmt: skip


def _check_device(name: str) -> None:
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}") from None


class _Part(Sequence[RenderedPair]):
    """Some pairs of a data set."""

    def __init__(self, pairs: RenderedPairs, numbers: Sequence[int]) -> None:
        self._pairs, self._numbers = pairs, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        return self._pairs[self._numbers[index]]


def _held_out(
    preparation: Preparation, networks: Networks, config: DenoiserConfig, pairs: Sequence[RenderedPair]
) -> HeldOut:
    fields = zip(*((pair.source, pair.target, pair.skeleton) for pair in pairs), strict=True)
    sources, targets, skeletons = (np.stack([picture.numpy() for picture in pictures]) for pictures in fields)
    return HeldOut(networks.variant, preparation, networks.vae, sources, targets, skeletons, config.num_drawn)


def _init(request: DenoiserRequest, variant: Variant) -> Mapping[str, Tensor] | None:
    """The weights to start from by our names; an official checkpoint has others."""
    if request.init is None:
        return None
    state = read_state(request.init)
    if "pos_embed" not in state:
        return state
    with torch.device("meta"):
        names = {official_name(name): f"xmdpt.{name}" for name in TrainableXMDPT(variant).state_dict()}
    return {names[name]: value for name, value in state.items() if name in names}


def _served(pipeline: Pipeline, denoiser: Denoiser) -> Pipeline:
    """The pipeline with the denoiser's weights in the place of its own; MIPNet, which only trains, stays behind."""
    trained = denoiser.state_dict()
    served = build_pipeline(pipeline.variant)
    state = {name: trained.get(name, value) for name, value in pipeline.state_dict().items()}
    served.load_state_dict(state)
    return served
