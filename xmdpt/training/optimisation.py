"""One optimiser step and what goes with it: learning rate, gradient clipping, and the averaged weights (EMA).

Does not know the networks or the losses.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from xmdpt.training.parallel import average

Network = TypeVar("Network", bound=nn.Module)

_EMA, _FIRST, _SECOND, _WEIGHT = "ema", "exp_avg", "exp_avg_sq", "weight"


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW and its schedule.

    Attributes:
        learning_rate: the highest.
        betas: of AdamW.
        weight_decay: of AdamW.
        warmup_steps: over which the rate rises from 0.
        decay_from: share of the run after which the rate falls linearly to 0; 1 keeps it.
        clip_norm: the largest norm of all gradients together; 0 for no bound.
        ema: share of the averaged weights that a step keeps. Early in a run it keeps less.
    """

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    warmup_steps: int
    decay_from: float
    clip_norm: float
    ema: float

    def __post_init__(self) -> None:
        if max(self.decay_from, self.ema, *self.betas) > 1:
            raise ValueError("decay_from, ema and betas are shares, 0 to 1")


class Optimiser:
    """AdamW over the trained parameters of some networks, with an averaged copy of each parameter."""

    def __init__(self, parts: Mapping[str, nn.Module], config: OptimiserConfig, num_steps: int) -> None:
        """`num_steps` is the length of the whole run, which the schedule needs."""
        self.config = config
        self._num_steps = num_steps
        self.parameters = {
            f"{part}.{name}": parameter
            for part, network in parts.items()
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        self.averages = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._adamw = torch.optim.AdamW(
            self.parameters.values(), lr=0.0, betas=config.betas, weight_decay=config.weight_decay, fused=True
        )

    def step(self, index: int, loss: Tensor) -> None:
        """Move all parameters against the gradient of a loss at step `index` of the run, 0 the first."""
        config = self.config
        for group in self._adamw.param_groups:
            group["lr"] = config.learning_rate * rate_factor(index, self._num_steps, config)
        self._adamw.zero_grad(set_to_none=True)
        loss.backward()
        average(parameter.grad for parameter in self.parameters.values() if parameter.grad is not None)
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters.values(), config.clip_norm)
        self._adamw.step()
        kept = min(config.ema, (1 + index) / (10 + index))
        for name, parameter in self.parameters.items():
            self.averages[name].lerp_(parameter.detach(), 1 - kept)

    def averaged(self, part: str, network: Network) -> Network:
        """Return a copy of a part, on the CPU, that holds its averaged weights."""
        copied = copy.deepcopy(network).cpu()
        with torch.no_grad():
            for name, parameter in copied.named_parameters():
                parameter.copy_(self.averages.get(f"{part}.{name}", parameter))
        return copied

    def state(self) -> dict[str, Tensor]:
        """Return all that the next step depends on, by name."""
        state = {}
        for name, parameter in self.parameters.items():
            state[f"{_WEIGHT}/{name}"] = parameter.detach()
            state[f"{_EMA}/{name}"] = self.averages[name]
            for key, value in self._adamw.state[parameter].items():
                state[f"{key}/{name}"] = value
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned; a parameter that was not yet there keeps its initial value."""
        for name, parameter in self.parameters.items():
            if f"{_WEIGHT}/{name}" not in state:
                continue
            with torch.no_grad():
                parameter.copy_(state[f"{_WEIGHT}/{name}"])
            self.averages[name].copy_(state[f"{_EMA}/{name}"])
            if f"{_FIRST}/{name}" in state:
                keys = (_FIRST, _SECOND, "step")
                self._adamw.state[parameter] = {key: state[f"{key}/{name}"].to(parameter.device) for key in keys}


def rate_factor(index: int, num_steps: int, config: OptimiserConfig) -> float:
    """Return the share, 0..1, of the highest learning rate at step `index` of 0..num_steps - 1."""
    rising = min(1.0, (index + 1) / max(1, config.warmup_steps))
    left = 1 - index / num_steps
    falling = min(1.0, left / (1 - config.decay_from)) if config.decay_from < 1 else 1.0
    return rising * falling
