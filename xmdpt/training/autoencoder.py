"""Training of the demo's autoencoder: reconstruction and a weak pull of the latents towards a normal distribution.

Source:
    Kingma and Welling 2014; Rombach et al. 2022 (KL-regularised latents); Skorokhodov et al. 2025 (latents that stay
    meaningful when they are shrunk are easier to denoise).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xmdpt.nn.patch_vae import PatchVae
from xmdpt.nn.pixels import from_pixels, to_pixels
from xmdpt.spec import IMAGE_SIZE, PatchVaeConfig
from xmdpt.training import parallel
from xmdpt.training.loop import Look
from xmdpt.training.mixed_precision import mixed_precision
from xmdpt.training.optimisation import Optimiser, OptimiserConfig
from xmdpt.training.prefetch import Prefetch
from xmdpt.training.run_files import save_tensors
from xmdpt.training.sheets import sheet

Pictures = Sequence[NDArray[np.uint8]]
"""[256, 256, 3] uint8 RGB each."""

_SHRUNK_EVERY_STEPS = 3
_SHEET_ROWS = 8


@dataclass(frozen=True)
class AutoencoderConfig:
    """How the autoencoder is trained.

    Attributes:
        num_steps: of the whole run.
        batch_size: crops per step.
        crop: side in px, a multiple of 16.
        squared_weight: of the squared error beside the absolute one.
        kl_weight: of the pull towards a normal distribution.
        shrunk_weight: of the reconstruction of the picture at half its size from latents at half their size.
        optimiser: see there.
    """

    num_steps: int
    batch_size: int
    crop: int
    squared_weight: float
    kl_weight: float
    shrunk_weight: float
    optimiser: OptimiserConfig

    def __post_init__(self) -> None:
        if min(self.num_steps, self.batch_size) < 1:
            raise ValueError("num_steps and batch_size must be at least 1")
        if not 16 <= self.crop <= IMAGE_SIZE or self.crop % 16:
            raise ValueError(f"crop must be a multiple of 16, up to {IMAGE_SIZE}")


class AutoencoderTask:
    """Trains on random crops, measures on whole held-out pictures."""

    def __init__(
        self,
        shape: PatchVaeConfig,
        config: AutoencoderConfig,
        pictures: Pictures,
        held_out: Pictures,
        out: Path,
        seed: int,
        init: Mapping[str, Tensor] | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self._vae = PatchVae(shape)
        if init:
            self._vae.load_state_dict(init)
        self._config, self._out, self._seed = config, out, seed
        self._held_out = to_pixels(np.stack(list(held_out)))
        self._statistics = to_pixels(np.stack([pictures[i] for i in _spread(len(pictures), 256)]))
        self._optimiser = Optimiser({"vae": self._vae}, config.optimiser, config.num_steps)
        self._batches = Prefetch(lambda index: self._crops(pictures, index), config.num_steps)

    def step(self, index: int) -> Mapping[str, Tensor]:
        """One step on the crops of `index`."""
        config = self._config
        x = self._batches[index].contiguous(memory_format=torch.channels_last)
        noise = torch.Generator().manual_seed(self._seed * 1_000_003 + parallel.number_of(index))
        with mixed_precision():
            mean, log_variance = self._vae.encode_moments(x)
            latents = mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=noise)
            error = self._vae.decoder(latents).float() - x
            losses = {"absolute": error.abs().mean(), "squared": error.square().mean()}
            losses["kl"] = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
            loss = losses["absolute"] + config.squared_weight * losses["squared"] + config.kl_weight * losses["kl"]
            if index % _SHRUNK_EVERY_STEPS == 0:
                shrunk = self._vae.decoder(functional.avg_pool2d(latents, 2)).float()
                loss = loss + config.shrunk_weight * (shrunk - functional.avg_pool2d(x, 2)).abs().mean()
        self._optimiser.step(index, loss)
        return {name: value.detach() for name, value in losses.items()}

    def _crops(self, pictures: Pictures, index: int) -> Tensor:
        """The crops of one step, half of them mirrored, more from the middle where the person stands."""
        random = np.random.default_rng([self._seed, parallel.number_of(index)])
        size, room, crops = self._config.crop, IMAGE_SIZE - self._config.crop, []
        for number in random.integers(len(pictures), size=self._config.batch_size // parallel.count()):
            top = int(random.integers(room + 1))
            left = int(np.clip(random.normal(room / 2, room / 4), 0, room))
            crop = pictures[int(number)][top : top + size, left : left + size]
            crops.append(crop[:, ::-1] if random.random() < 0.5 else crop)
        return to_pixels(np.stack(crops))

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on."""
        return self._optimiser.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self._optimiser.load_state(state)

    @torch.inference_mode()
    def look(self) -> Look:
        """PSNR of held-out pictures by the averaged weights."""
        vae = self._optimiser.averaged("vae", self._vae)
        rebuilt = torch.cat([vae.decode(vae.encode_mode(x[None])) for x in self._held_out]).clamp(-1, 1)
        squared = ((rebuilt - self._held_out) / 2).square().mean(dim=(1, 2, 3))
        pairs = [from_pixels(x[:_SHEET_ROWS]) for x in (self._held_out, rebuilt)]
        return Look({"held_out_psnr": float((-10 * squared.log10()).mean())}, sheet(list(zip(*pairs, strict=True))))

    @torch.inference_mode()
    def publish(self) -> None:
        """Write `autoencoder.safetensors`: the averaged weights with the statistics of their latents."""
        vae = self._optimiser.averaged("vae", self._vae)
        latents = torch.cat([vae.encode_moments(x[None])[0] for x in self._statistics])
        state = dict(vae.state_dict())
        state["latent_mean"] = latents.mean(dim=(0, 2, 3))
        state["latent_std"] = latents.std(dim=(0, 2, 3))
        save_tensors(state, self._out / "autoencoder.safetensors")


def _spread(length: int, count: int) -> list[int]:
    return np.linspace(0, length - 1, min(count, length)).astype(int).tolist()
