"""Both training passes against the golden ones: predictions, losses, and the gradient of every parameter."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from xmdpt.nn.checkpoint import official_name
from xmdpt.nn.mipnet import kept_cells
from xmdpt.nn.network import TrainableXMDPT
from xmdpt.nn.untrained import golden_base, seeded_normal
from xmdpt.parity import tolerances
from xmdpt.parity.golden import Check, Golden, Outcome, compared
from xmdpt.parity.network import golden_conditions, golden_network, mask_noise
from xmdpt.training.losses import Losses, diffusion_losses, noised

_TIMESTEPS = (250, 760)
_SHAPE = (2, 4, 32, 32)


def training_checks(golden: Golden, size: str) -> Iterator[Outcome]:
    """Predictions and losses of one step."""
    network = golden_network(size, golden_base)
    with torch.no_grad():
        passes, inner = _training_step(network)
    picture, noise = _pictures()
    kept, _ = kept_cells(mask_noise())
    exact = {
        "x_start": picture,
        "noise": noise,
        "t": torch.tensor(_TIMESTEPS),
        "mask_noise": mask_noise(),
        "cond_keep": torch.tensor([True, False]),
        "ids_keep": kept,
    }
    computed = {"x_t": noised(picture, noise, torch.tensor(_TIMESTEPS)), "total_loss": _total(passes), **inner}
    for name, (prediction, losses) in passes.items():
        computed |= {f"{name}.out": prediction, f"{name}.mse": losses.mse}
        computed |= {f"{name}.vb": losses.vb, f"{name}.loss": losses.total}
    groups = {
        tolerances.EXACT: {name: value.numpy() for name, value in exact.items()},
        tolerances.NETWORK: {name: value.numpy() for name, value in computed.items()},
    }
    yield from compared(golden, groups)


def gradient_checks(golden: Golden, size: str) -> Iterator[Outcome]:
    """The norm of every parameter's gradient of the total loss; golden holds [norm, sum] by official name."""
    network = golden_network(size, golden_base).requires_grad_(True)
    passes, _ = _training_step(network)
    _total(passes).backward()
    norms = {
        official_name(name): float("nan") if parameter.grad is None else float(parameter.grad.double().norm())
        for name, parameter in network.named_parameters()
    }
    # A parameter on one side only is as bad as one without a gradient.
    errors = {
        name: abs(norms[name] / float(golden[name][0]) - 1) if name in norms and name in golden else float("nan")
        for name in golden.keys() | norms.keys()
    }
    worst = max(errors, key=lambda name: float(np.nan_to_num(errors[name], nan=np.inf)))
    yield Check(f"norms of {len(errors)}, worst {worst}", errors[worst], tolerances.GRADIENT)


def _training_step(network: TrainableXMDPT) -> tuple[dict[str, tuple[Tensor, Losses]], dict[str, Tensor]]:
    """Return prediction and losses of the plain and of the masked pass, and the masked pass's inner values."""
    timestep = torch.tensor(_TIMESTEPS)
    picture, noise = _pictures()
    latents, conditions = noised(picture, noise, timestep), golden_conditions((1.0, 0.0))
    plain = network.plain(latents, timestep.float(), conditions)
    masked, inner = network.masked(latents, timestep.float(), conditions, mask_noise())
    passes = {
        name: (prediction, diffusion_losses(prediction, picture, noise, timestep))
        for name, prediction in (("plain", plain), ("masked", masked))
    }
    return passes, inner


def _total(passes: dict[str, tuple[Tensor, Losses]]) -> Tensor:
    return torch.stack([losses.total.mean() for _, losses in passes.values()]).sum()


def _pictures() -> tuple[Tensor, Tensor]:
    arrays = (seeded_normal(f"train.{name}", _SHAPE).astype(np.float32) for name in ("x_start", "noise"))
    picture, noise = (torch.from_numpy(array) for array in arrays)
    return picture, noise
