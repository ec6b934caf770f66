"""TDNet, CANet and MIPNet against the golden forward passes."""

import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmdpt.guidance import guidance_weights
from xmdpt.nn.network import Conditions, TrainableXMDPT
from xmdpt.nn.tdnet import TDNet
from xmdpt.nn.untrained import Rule, fill_golden, golden_base, golden_strong, seeded_normal
from xmdpt.parity import tolerances
from xmdpt.parity.golden import Golden, Outcome, compared
from xmdpt.parity.tables import GUIDANCES
from xmdpt.spec import VARIANTS

_TIMESTEPS = (17, 940)


def inputs() -> Mapping[str, NDArray[np.float32]]:
    """The arrays that go into the golden forward passes: each follows from its name."""
    shapes = {
        "x": (2, 4, 32, 32),
        "src_img": (2, 4, 32, 32),
        "dino_tgt_pose": (2, 257, 768),
        "dino_src_img": (2, 257, 1536),
    }
    return {name: seeded_normal(f"input.{name}", shape).astype(np.float32) for name, shape in shapes.items()}


def golden_conditions(is_kept: tuple[float, float]) -> Conditions:
    """The golden inputs of two pictures; is_kept says of each whether its conditions count."""
    given = {name: torch.from_numpy(array) for name, array in inputs().items()}
    kept = torch.tensor(is_kept, dtype=torch.float32)[:, None]
    return Conditions(given["dino_tgt_pose"], given["dino_src_img"], given["src_img"], kept)


def golden_network(size: str, rule: Rule) -> TrainableXMDPT:
    """The network of a size with the weights of a golden rule, without gradients."""
    network = TrainableXMDPT(VARIANTS[size.lower()]).eval().requires_grad_(False)
    fill_golden(network, rule)
    return network


def mask_noise() -> Tensor:
    """What decides which cells the golden masked pass keeps: [2, 256] float32."""
    return torch.from_numpy(_uniform("train.mask_noise", (2, 256)))


def input_checks(golden: Golden) -> Iterator[Outcome]:
    """The inputs follow from their names."""
    return compared(golden, {tolerances.EXACT: {**inputs(), "t": np.array(_TIMESTEPS)}})


def forward_checks(golden: Golden, size: str) -> Iterator[Outcome]:
    """The forward passes of the rule "base"."""
    return network_checks(golden, golden_network(size, golden_base))


def strong_checks(golden: Golden, size: str) -> Iterator[Outcome]:
    """The forward passes of the rule "strong", under which each mistake shows."""
    return network_checks(golden, golden_network(size, golden_strong))


def network_checks(golden: Golden, network: TrainableXMDPT) -> Iterator[Outcome]:
    """A forward pass with and one without condition, their inner values, both guidances, and the masked pass."""
    timesteps = torch.tensor(_TIMESTEPS, dtype=torch.float32)
    given = golden_conditions((1.0, 1.0))
    latents = torch.from_numpy(inputs()["x"])
    tdnet, canet = network.tdnet, network.canet
    with torch.inference_mode():
        y_pose = canet.pose_vector(given.pose_tokens)
        y_global = canet.global_vector(given.photo_tokens)
        y_local = canet.local_vector(tdnet.latent_embedder(given.source_latents))
        condition = canet.condition(y_global + y_local, y_pose)
        conditional = _traced(tdnet, latents, timesteps, condition)
        unconditional = _traced(tdnet, latents, timesteps, torch.zeros_like(condition))
        is_masked_held = any(name.startswith("masked.") for name in golden)
        masked = _masked_pass(network, latents, timesteps) if is_masked_held else {}
    ours = {f"cond.{name}": value for name, value in conditional.items()}
    ours |= {f"uncond.{name}": value for name, value in unconditional.items()}
    ours |= {"cond.y_pose": y_pose[:, None], "cond.y_global": y_global[:, None], "cond.y_local": y_local[:, None]}
    ours |= {"cond.y_final": condition} | {f"masked.{name}": value for name, value in masked.items()}
    for scale, power in GUIDANCES:
        weights = torch.from_numpy(guidance_weights(_TIMESTEPS, scale, power).astype(np.float32))[:, None, None, None]
        difference = conditional["out"] - unconditional["out"]
        ours[f"cfg_{scale}_{power}.out"] = unconditional["out"] + weights * difference
    yield from compared(golden, {tolerances.NETWORK: {name: value.numpy() for name, value in ours.items()}})


def _masked_pass(network: TrainableXMDPT, latents: Tensor, timesteps: Tensor) -> dict[str, Tensor]:
    """Return the masked pass's output and inner values; the second picture's conditions are dropped."""
    out, inner = network.masked(latents, timesteps, golden_conditions((1.0, 0.0)), mask_noise())
    return inner | {"out": out}


def _traced(tdnet: TDNet, latents: Tensor, timesteps: Tensor, condition: Tensor) -> dict[str, Tensor]:
    """Return TDNet's output, and on the way the embedded patches and timesteps and each block's output."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, output: seen.__setitem__(name, output)

    watched = {"t_emb": tdnet.timestep_embedder, "patches": tdnet.latent_embedder.projection}
    watched |= {f"block{index:02}_out": block for index, block in enumerate(tdnet.blocks)}
    hooks = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    seen["out"] = tdnet(latents, timesteps, condition)
    for hook in hooks:
        hook.remove()
    return seen | {"patch_x": seen.pop("patches").flatten(2).transpose(1, 2)}


def _uniform(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(zlib.crc32(name.encode())).random(shape).astype(np.float32)
