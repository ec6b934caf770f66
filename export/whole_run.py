"""Whole runs of a repository's graphs, from photo and skeleton to picture, against the same in torch and float32.

The photos are rendered persons, which every variant takes; a network that nobody trained makes noise of them, which
magnifies errors more than a trained one does. Single calls are `export.verify`'s.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.graphs import module_of
from export.precision import lowered
from export.verify import ROUNDED_BY_TORCH, Arrays, Runner, graph_runner, torch_runner
from xmdpt.nn.pipeline import Networks
from xmdpt.persons.domain import DEMO
from xmdpt.persons.render import render_pair
from xmdpt.repository import Precision
from xmdpt.sampler import SAMPLERS, initial_noise, sampling_plan, stack_plans
from xmdpt.skeleton import draw_skeleton
from xmdpt.spec import LOW_DECODER, LOW_STEP, Variant

NUM_STEPS = 50
GUIDANCE = 2.0
_NUM_PICTURES = 2
MIN_PSNR_DB: Mapping[Precision, float] = {"fp32": 60, "fp16": 50, "bf16": 40, "int8": 40}
"""Of a picture of trained weights; 40 dB are 2.6 grey levels, which nobody sees."""
MIN_PSNR_UNTRAINED_DB = 30


@dataclass(frozen=True)
class RunCheck:
    """What a run with one sampler showed.

    Attributes:
        sampler: its name, and that of the low step if low graphs made the run.
        latents_error: max|a - b| / max|b| of the finished latents.
        psnr: of the pictures against torch's, in dB; infinite if they are equal.
        min_psnr: below this the repository is refused.
    """

    sampler: str
    latents_error: float
    psnr: float
    min_psnr: float

    @property
    def is_within_tolerance(self) -> bool:
        """False also where either side is not a number."""
        return self.psnr >= self.min_psnr and np.isfinite(self.latents_error)


def check_runs(
    root: Path,
    manifest: Mapping,
    networks: Callable[[], Networks],
    variant: Variant,
    num_steps: int = NUM_STEPS,
) -> Iterator[RunCheck]:
    """Run every sampler once.

    Args:
        root: a repository that `export.manifest.read_manifest` has accepted.
        manifest: its manifest.
        networks: makes the networks with the weights that the repository was built of, once a graph.
        variant: of the repository.
        num_steps: of each run.
    """
    is_trained = manifest["weights"]["is_trained"]

    def of_torch(name: str) -> Runner:
        return torch_runner(module_of(name)(networks()).eval())

    def of_repository(name: str) -> Runner:
        precision = manifest["graphs"][name]["precision"]
        run = None if precision in ROUNDED_BY_TORCH else graph_runner(root, manifest, name)
        # Where ONNX Runtime would round nothing, torch shows what rounding does to a picture.
        return run or torch_runner(lowered(module_of(name)(networks()).eval(), precision, sums_in_float32=True))

    def of_low_graphs(name: str) -> Runner:
        if name == "sampler":
            return looped(of_repository(LOW_STEP))
        return of_repository(LOW_DECODER if name == "vae_decoder" and LOW_DECODER in manifest["graphs"] else name)

    photos, skeletons = _persons()
    sources = [(of_repository, manifest["precision"], "")]
    if LOW_STEP in manifest["graphs"]:
        sources.append((of_low_graphs, manifest["graphs"][LOW_STEP]["precision"], f" of {LOW_STEP}"))
    wanted = _run(of_torch, variant, num_steps, photos, skeletons)
    for source, precision, whose in sources:
        found = _run(source, variant, num_steps, photos, skeletons)
        min_psnr = MIN_PSNR_DB[precision] if is_trained else MIN_PSNR_UNTRAINED_DB
        for sampler, (latents, pictures) in wanted.items():
            latents_found, pictures_found = found[sampler]
            error = float(np.abs(latents_found - latents).max() / np.abs(latents).max())
            yield RunCheck(f"{sampler}{whose}", error, psnr(pictures_found, pictures), min_psnr)


def looped(step: Runner) -> Runner:
    """What `sampler` does, by as many calls of a step; the plans of all rows have one length."""

    def run(inputs: Arrays) -> Sequence[NDArray]:
        latents = inputs["noise"]
        denoised = np.zeros_like(latents)
        for index in range(inputs["timesteps"].shape[1]):
            column = slice(index, index + 1)
            latents, denoised = step(
                {
                    "latents": latents,
                    "previous_denoised": denoised,
                    "condition": inputs["condition"],
                    "timestep": inputs["timesteps"][:, column],
                    "guidance": inputs["guidance"][:, column],
                    "coefficients": inputs["coefficients"][:, index],
                }
            )
        return [latents]

    return run


def psnr(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of pictures, all pixels together, in dB."""
    error = np.mean((found.astype(np.float64) - wanted) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _persons() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Photos, and skeletons of the same persons in other poses, [B, 256, 256, 3] each."""
    views = [render_pair(number, DEMO, "held_out").views for number in range(_NUM_PICTURES)]
    return np.stack([source.picture for source, _ in views]), np.stack(
        [draw_skeleton(target.key_points) for _, target in views]
    )


def _run(
    source: Callable[[str], Runner],
    variant: Variant,
    num_steps: int,
    photos: NDArray[np.uint8],
    skeletons: NDArray[np.uint8],
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Finished latents and pictures by sampler; graphs are loaded one after another, as two large ones do not fit."""
    (source_vector,) = source("source_encoder")({"photo": photos})
    (pose_vector,) = source("pose_encoder")({"skeleton": skeletons})
    (condition,) = source("canet")({"source_vector": source_vector, "pose_vector": pose_vector})
    noise = np.stack([initial_noise(seed) for seed in range(len(photos))])
    sample, latents = source("sampler"), {}
    for sampler in SAMPLERS:
        plan = sampling_plan(num_steps, GUIDANCE, sampler, variant.prediction)
        plans = vars(stack_plans([plan] * len(photos)))
        (latents[sampler],) = sample({"noise": noise, "condition": condition, **plans})
    del sample
    decode = source("vae_decoder")
    return {sampler: (finished, decode({"latents": finished})[0]) for sampler, finished in latents.items()}
