"""How near the pictures of the other presets come to those of the exact one, with the graphs of a repository.

Judges no network: both sides are the repository's, and what the exact one is worth is `xmdpt.quality`'s to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.verify import ROUNDED_BY_TORCH, Runner, graph_runner
from export.whole_run import GUIDANCE, MIN_PSNR_DB, looped
from xmdpt.evaluation.metrics import psnr, ssim
from xmdpt.presets import PRESETS, Preset
from xmdpt.quality.held_out import Pictures, held_out_pairs
from xmdpt.sampler import initial_noise, sampling_plan, stack_plans
from xmdpt.spec import LOW_DECODER, LOW_STEP

EXACT = Preset.EXACT.value


@dataclass(frozen=True)
class PresetQuality:
    """Of all pictures of a preset against those of the exact one, from the same seeds.

    Attributes:
        psnr_db: mean over the pictures; infinite if a picture of them is equal.
        least_psnr_db: of the picture that differs most; infinite if all are equal.
        ssim: mean, 0 .. 1.
        num_pictures: that were compared.
        min_psnr_db: with less of one picture the repository is refused; 0 of a preset in the model's own precision.
    """

    psnr_db: float
    least_psnr_db: float
    ssim: float
    num_pictures: int
    min_psnr_db: float = 0.0

    @property
    def is_within_tolerance(self) -> bool:
        """False also where a picture is none."""
        return self.least_psnr_db >= self.min_psnr_db


def compare_presets(root: Path, manifest: Mapping, num_pictures: int) -> dict[str, PresetQuality]:
    """Draw held-out persons by every preset that the repository can serve; the exact one is in no answer.

    Args:
        root: a repository of ONNX graphs that `export.manifest.read_manifest` has accepted.
        manifest: its manifest.
        num_pictures: of each preset; nobody is drawn if there are to be none, by weights that nobody trained, or where
            ONNX Runtime's CPU has no products in a graph's precision, so that it would show something else.
    """
    precisions = {entry["precision"] for entry in manifest["graphs"].values()}
    if num_pictures < 1 or not manifest["weights"]["is_trained"] or precisions & ROUNDED_BY_TORCH:
        return {}
    pairs = held_out_pairs(range(num_pictures))
    draw = _Drawing(root, manifest, pairs.sources, pairs.skeletons)
    offered = {preset for preset, meaning in PRESETS.items() if draw.has_low or not meaning.needs_low_precision}
    exact, *others = ((preset, draw.pictures(preset)) for preset in Preset if preset in offered)
    return {preset.value: _quality(pictures, exact[1], draw.min_psnr_db(preset)) for preset, pictures in others}


def _quality(pictures: Pictures, exact: Pictures, min_psnr_db: float) -> PresetQuality:
    pairs = list(zip(pictures, exact, strict=True))
    decibels = [psnr(*pair) for pair in pairs]
    return PresetQuality(
        float(np.mean(decibels)),
        min(decibels),
        float(np.mean([ssim(*pair) for pair in pairs])),
        len(pairs),
        min_psnr_db,
    )


class _Drawing:
    """The graphs of one repository over the same persons and noises again and again; one graph is loaded at a time."""

    def __init__(self, root: Path, manifest: Mapping, photos: Pictures, skeletons: Pictures) -> None:
        self._root, self._manifest = root, manifest
        self.has_low = LOW_STEP in manifest["graphs"]
        source, pose = self._run("source_encoder", photo=photos), self._run("pose_encoder", skeleton=skeletons)
        self._condition = self._run("canet", source_vector=source, pose_vector=pose)
        self._noise = np.stack([initial_noise(seed) for seed in range(len(photos))])

    def pictures(self, preset: Preset) -> Pictures:
        meaning = PRESETS[preset]
        plan = sampling_plan(meaning.num_steps, GUIDANCE, prediction=self._manifest["prediction"])
        plans = vars(stack_plans([plan] * len(self._noise)))
        is_low = self._is_low(preset)
        sample = looped(self._runner(LOW_STEP if is_low else "tdnet_step"))
        (latents,) = sample({"noise": self._noise, "condition": self._condition, **plans})
        decoder = LOW_DECODER if is_low and LOW_DECODER in self._manifest["graphs"] else "vae_decoder"
        return self._run(decoder, latents=latents)

    def min_psnr_db(self, preset: Preset) -> float:
        """What is asked of its pictures: as much as of whole runs in its precision."""
        return MIN_PSNR_DB[self._manifest["graphs"][LOW_STEP]["precision"]] if self._is_low(preset) else 0.0

    def _is_low(self, preset: Preset) -> bool:
        return self.has_low and PRESETS[preset].wants_low_precision

    def _run(self, graph: str, **feeds: NDArray) -> NDArray:
        return self._runner(graph)(feeds)[0]

    def _runner(self, graph: str) -> Runner:
        runner = graph_runner(self._root, self._manifest, graph)
        assert runner, "only bfloat16 has none"
        return runner
