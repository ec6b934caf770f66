"""Training of the denoiser: TDNet and CANet by a plain pass and, through MIPNet, by a masked one.

Does not make pictures or latents (`xmdpt.training.batches`).

Source:
    Pham et al. 2024 (X-MDPT), section 3.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from xmdpt.nn.initialisation import initialise
from xmdpt.nn.network import Conditions, TrainableXMDPT
from xmdpt.nn.weight_files import check_fit
from xmdpt.spec import NUM_TRAIN_TIMESTEPS, Variant
from xmdpt.training import parallel
from xmdpt.training.batches import Batch, Batches
from xmdpt.training.loop import Look
from xmdpt.training.losses import diffusion_losses, noised
from xmdpt.training.mixed_precision import mixed_precision
from xmdpt.training.optimisation import Optimiser, OptimiserConfig
from xmdpt.training.prefetch import Prefetch


@dataclass(frozen=True)
class DenoiserConfig:
    """How the denoiser is trained.

    Attributes:
        num_steps: of the whole run.
        batch_size: pairs per step; the masked pass sees the same ones.
        condition_drop: probability of a pair to be trained without its condition, in each pass.
        variance_weight: of the variational bound that trains the variance; the paper's is 1, and 0 leaves it out.
        masked_from: share of the run after which the masked pass joins; the paper's is 0.
        is_compiled: whether torch.compile makes the passes faster; it needs a C++ compiler on a CPU.
        num_held_out: pairs that the run is measured on.
        num_drawn: of these, pictures that are drawn for it.
        optimiser: see there.
    """

    num_steps: int
    batch_size: int
    condition_drop: float
    variance_weight: float
    masked_from: float
    is_compiled: bool
    num_held_out: int
    num_drawn: int
    optimiser: OptimiserConfig

    def __post_init__(self) -> None:
        if min(self.num_steps, self.batch_size, self.num_held_out, self.num_drawn) < 1:
            raise ValueError("num_steps, batch_size, num_held_out and num_drawn must be at least 1")
        if max(self.condition_drop, self.masked_from) > 1:
            raise ValueError("condition_drop and masked_from are shares, 0 to 1")


class Denoiser(nn.Module):
    """What a step runs: the trained extractors (frozen ones have run before), then a pass of the network."""

    def __init__(self, variant: Variant, pose_extractor: nn.Module, photo_extractor: nn.Module) -> None:
        super().__init__()
        self.xmdpt = TrainableXMDPT(variant)
        self.pose_extractor = pose_extractor
        self.photo_extractor = photo_extractor

    def forward(
        self, batch: Batch, latents: Tensor, timestep: Tensor, is_kept: Tensor, mask_noise: Tensor | None
    ) -> Tensor:
        """Return the prediction [B, 8, 32, 32]; with mask_noise [B, T] that of the masked pass."""
        conditions = Conditions(
            self.pose_extractor(batch.skeleton), self.photo_extractor(batch.photo), batch.source, is_kept
        )
        if mask_noise is None:
            return self.xmdpt.plain(latents, timestep.float(), conditions)
        return self.xmdpt.masked(latents, timestep.float(), conditions, mask_noise)[0]


class DenoiserTask:
    """Both passes on the same pairs at the same timesteps, with noise and dropped conditions of their own."""

    def __init__(
        self,
        variant: Variant,
        config: DenoiserConfig,
        extractors: Callable[[], tuple[nn.Module, nn.Module]],
        batches: Batches,
        look: Callable[["Denoiser"], Look],
        publish: Callable[["Denoiser"], None],
        seed: int,
        init: Mapping[str, Tensor] | None = None,
        device: str = "cpu",
    ) -> None:
        """Draw the initial weights.

        Args:
            variant: of the network.
            config: see there.
            extractors: makes the pose's and the photo's; `nn.Identity` where the batches hold tokens already.
            batches: to train on.
            look: measures a denoiser on held-out pairs.
            publish: writes a denoiser's weights.
            seed: of the weights and of all that is drawn.
            init: weights by name to start from instead; more than the networks have, or all but MIPNet's.
            device: where the steps run; what is looked at and published is on the CPU.
        """
        torch.manual_seed(seed)
        self.variant, self._config, self._seed = variant, config, seed
        self._look, self._publish, self._device = look, publish, device
        self.denoiser = Denoiser(variant, *extractors())
        initialise(self.denoiser.xmdpt)
        if init:
            self._start_from(init)
        self.denoiser.to(device)
        self._optimiser = Optimiser({"denoiser": self.denoiser}, config.optimiser, config.num_steps)
        size = config.batch_size // parallel.count()
        self._batches = Prefetch(lambda index: batches.batch(parallel.number_of(index), size), config.num_steps)
        # Attention is written out (below), and need not be computed in float32 for that.
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
        self._forward: Callable[..., Any] = (
            torch.compile(self.denoiser, dynamic=False) if config.is_compiled else self.denoiser
        )

    def _start_from(self, init: Mapping[str, Tensor]) -> None:
        shapes = {name: tuple(value.shape) for name, value in self.denoiser.state_dict().items()}
        known = {name: init[name] for name in shapes.keys() & init.keys()}
        # What only training uses may be missing; the rest must fit.
        wanted = {name: shape for name, shape in shapes.items() if "mipnet" not in name or name in known}
        check_fit(wanted, known)
        self.denoiser.load_state_dict(known, strict=False)

    def step(self, index: int) -> Mapping[str, Tensor]:
        """One step on the pairs of `index`."""
        batch = self._batches[index].to(self._device)
        # Drawn on the CPU, so that a run does not depend on the device.
        draw = torch.Generator().manual_seed(self._seed * 1_000_003 + parallel.number_of(index))
        timestep = torch.randint(NUM_TRAIN_TIMESTEPS, (len(batch.target),), generator=draw).to(self._device)
        losses = {"plain": self._loss(batch, timestep, draw, None)}
        if index >= self._config.masked_from * self._config.num_steps:
            mask_noise = torch.rand(len(timestep), self.variant.num_tokens, generator=draw).to(self._device)
            losses["masked"] = self._loss(batch, timestep, draw, mask_noise)
        self._optimiser.step(index, torch.stack(list(losses.values())).sum())
        return {name: value.detach() for name, value in losses.items()}

    def _loss(self, batch: Batch, timestep: Tensor, draw: torch.Generator, mask_noise: Tensor | None) -> Tensor:
        noise = torch.randn(batch.target.shape, generator=draw).to(self._device)
        is_kept = (torch.rand(len(noise), 1, generator=draw) >= self._config.condition_drop).float().to(self._device)
        # torch's fused attention is slow backwards on a CPU, and can't be compiled together with what is around it.
        attention = sdpa_kernel(SDPBackend.MATH) if self._device == "cpu" else nullcontext()
        with mixed_precision(self._device), attention:
            latents = noised(batch.target, noise, timestep)
            prediction = self._forward(batch, latents, timestep, is_kept, mask_noise)
        losses = diffusion_losses(prediction, batch.target, noise, timestep, self.variant.prediction)
        return (losses.mse + self._config.variance_weight * losses.vb).mean()

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on."""
        return self._optimiser.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self._optimiser.load_state(state)

    def look(self) -> Look:
        """Errors and pictures of held-out pairs by the averaged weights."""
        with torch.inference_mode(), mixed_precision():
            return self._look(self._optimiser.averaged("denoiser", self.denoiser))

    def publish(self) -> None:
        """Write the averaged weights."""
        self._publish(self._optimiser.averaged("denoiser", self.denoiser))
