"""Recomputes a folder of golden numbers, made with the official classes, and says how far off each one is.

Covers the inputs, TDNet and CANet with and without guidance, the DDIM loop, the noise schedule and the skeletons. What
only training uses is left out, as are the frozen extractors.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmdpt.guidance import guidance_weights
from xmdpt.nn.golden import Array, Golden, Outcome, Skipped, compared
from xmdpt.nn.network import XMDPT
from xmdpt.nn.reference import Predict, ddim_steps, guided
from xmdpt.nn.tdnet import TDNet
from xmdpt.nn.untrained import Rule, fill_golden, golden_base, golden_strong, seeded_normal
from xmdpt.noise_schedule import cumulative_alphas, kept_timesteps
from xmdpt.sampler import SamplingPlan, sampling_plan
from xmdpt.skeleton import draw_skeleton, to_frame
from xmdpt.spec import IMAGE_SIZE, VARIANTS

NETWORK_TOLERANCE = 1e-5
"""Of max|a - b| / max|b|. Float32 against float64 differs by 1e-6; the smallest planted mistake by 5e-6 to 1e-1."""
ROUNDING_TOLERANCE = 2e-7
"""Of numbers that the official code computes in float32 and we in float64: one rounding."""
TABLE_TOLERANCE = 1e-15
"""Of float64 tables whose products were taken in another order."""
EXACT = 0.0

SIZES = ("S", "B", "L")
_TIMESTEPS = (17, 940)
# Scale and power: those of the paper's results, and MDT's, whose weight depends on the timestep.
_GUIDANCES = ((2.0, 0.01), (3.8, 4.0))


def parity(folder: Path, sizes: tuple[str, ...] = SIZES) -> Iterator[Outcome]:
    """Compare all that a folder holds, one outcome an array, as they are computed.

    Args:
        folder: of `forward_<size>.npz`, `forward_<size>_strong.npz`, `sampling_<size>.npz`, `inputs.npz`,
            `schedule.npz` and `pose_render.npz`; each may be absent, and within each any array.
        sizes: of the network, among S, B and L.
    """
    parts: list[tuple[str, Callable[[Golden], Iterator[Outcome]]]] = [
        ("inputs", _inputs),
        ("schedule", _schedule),
        ("pose_render", _skeletons),
    ]
    for size in sizes:
        parts += [
            (f"forward_{size}", lambda golden, size=size: forward_checks(golden, _network(size, golden_base))),
            (f"forward_{size}_strong", lambda golden, size=size: forward_checks(golden, _network(size, golden_strong))),
            (f"sampling_{size}", lambda golden, size=size: _sampling(golden, _network(size, golden_base))),
        ]
    for name, compute in parts:
        path = folder / f"{name}.npz"
        if not path.is_file():
            yield Skipped(name, "not in this folder")
            continue
        with np.load(path, allow_pickle=False) as golden:
            for outcome in compute(dict(golden)):
                yield replace(outcome, name=f"{name}/{outcome.name}")


def inputs() -> Mapping[str, NDArray[np.float32]]:
    """The arrays that go into the golden forward passes: each follows from its name."""
    shapes = {
        "x": (2, 4, 32, 32),
        "src_img": (2, 4, 32, 32),
        "dino_tgt_pose": (2, 257, 768),
        "dino_src_img": (2, 257, 1536),
    }
    return {name: seeded_normal(f"input.{name}", shape).astype(np.float32) for name, shape in shapes.items()}


def _inputs(golden: Golden) -> Iterator[Outcome]:
    return compared(golden, {EXACT: {**inputs(), "t": np.array(_TIMESTEPS)}})


def _schedule(golden: Golden) -> Iterator[Outcome]:
    exact: dict[str, Array] = {"full.alphas_cumprod": cumulative_alphas(), "full.betas": _betas_of(cumulative_alphas())}
    tables: dict[str, Array] = {}
    for count in (10, 50, 250):
        kept = kept_timesteps(count)[::-1]
        exact[f"{count}.timestep_map"] = kept
        exact[f"{count}.betas"] = _betas_of(cumulative_alphas()[kept])
        tables[f"{count}.alphas_cumprod"] = cumulative_alphas()[kept]
    weights = {
        f"cfgscale_{scale}_{power}": guidance_weights(np.arange(1000), scale, power) for scale, power in _GUIDANCES
    }
    yield from compared(golden, {EXACT: exact, TABLE_TOLERANCE: tables, ROUNDING_TOLERANCE: weights})


def _betas_of(alpha_bars: NDArray[np.float64]) -> NDArray[np.float64]:
    """The variance added at each kept timestep, as the official code derives it from the cumulative alphas."""
    return 1 - alpha_bars / np.append(1.0, alpha_bars[:-1])


def _skeletons(golden: Golden) -> Iterator[Outcome]:
    """Bytes must be equal. The annotation's frame holds the 176 px wide photo between two bars of 40 px."""
    pictures: dict[str, Array] = {}
    key_points: dict[str, Array] = {}
    for name in golden:
        if name.startswith("kp_in_"):
            number = name.removeprefix("kp_in_")
            points = to_frame(golden[name], size=(176, IMAGE_SIZE), origin=(40, 0))
            # As the pose extractor takes it: channels first, divided by its maximum.
            picture = draw_skeleton(points).transpose(2, 0, 1).astype(np.float32) / 255
            pictures |= {f"pose_{number}": picture / picture.max(), f"pose_{number}_max": picture.max()}
            key_points[f"kp_px_{number}"] = points
    drawn = {name: array for name, array in golden.items() if not name.startswith("kp_in_")}
    yield from compared(drawn, {EXACT: pictures, ROUNDING_TOLERANCE: key_points})


def forward_checks(golden: Golden, network: XMDPT) -> Iterator[Outcome]:
    """One forward pass with and one without condition, their inner values, and both guidances."""
    given = {name: torch.from_numpy(array) for name, array in inputs().items()}
    timesteps = torch.tensor(_TIMESTEPS, dtype=torch.float32)
    tdnet, canet = network.tdnet, network.canet
    with torch.inference_mode():
        y_pose = canet.pose_vector(given["dino_tgt_pose"])
        y_global = canet.global_vector(given["dino_src_img"])
        y_local = canet.local_vector(tdnet.latent_embedder(given["src_img"]))
        condition = canet.condition(y_global + y_local, y_pose)
        conditional = _traced(tdnet, given["x"], timesteps, condition)
        unconditional = _traced(tdnet, given["x"], timesteps, torch.zeros_like(condition))
    ours = {f"cond.{name}": value for name, value in conditional.items()}
    ours |= {f"uncond.{name}": value for name, value in unconditional.items()}
    ours |= {"cond.y_pose": y_pose[:, None], "cond.y_global": y_global[:, None], "cond.y_local": y_local[:, None]}
    ours |= {"cond.y_final": condition}
    for scale, power in _GUIDANCES:
        weights = torch.from_numpy(guidance_weights(_TIMESTEPS, scale, power).astype(np.float32))[:, None, None, None]
        difference = conditional["out"] - unconditional["out"]
        ours[f"cfg_{scale}_{power}.out"] = unconditional["out"] + weights * difference
    yield from compared(golden, {NETWORK_TOLERANCE: {name: value.numpy() for name, value in ours.items()}})


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


def _sampling(golden: Golden, network: XMDPT) -> Iterator[Outcome]:
    """The whole DDIM loop, by the reference and by the served coefficient rows."""
    given = {name: torch.from_numpy(array) for name, array in inputs().items()}
    start = torch.from_numpy(seeded_normal("sample.z", (2, 4, 32, 32)).astype(np.float32))
    loop = {key.removeprefix("ddim_eta0."): array for key, array in golden.items() if key.startswith("ddim_eta0.")}
    if not loop:
        yield from compared(golden, {})
        return
    scale, power = _GUIDANCES[0]
    plan = sampling_plan(len(next(iter(loop.values()))), scale)
    with torch.inference_mode():
        source_vector = network.source_vector(given["dino_src_img"], given["src_img"])
        condition = network.canet.condition(source_vector, network.canet.pose_vector(given["dino_tgt_pose"]))
        predict = guided(network.tdnet, condition, scale, power)
        by_reference = list(ddim_steps(predict, start, plan.timesteps.astype(int).tolist()))
        by_rows = list(_row_steps(predict, start, plan))
    exact: dict[str, Array] = {"z": start.numpy(), "timesteps": plan.timesteps}
    looped: dict[str, Array] = {}
    for name, steps in (("ddim_eta0", by_reference), ("rows", by_rows)):
        looped[f"{name}.samples"] = torch.stack([latents for latents, _ in steps]).numpy()
        looped[f"{name}.pred_xstart"] = torch.stack([denoised for _, denoised in steps]).numpy()
    rows = {f"rows.{key}": array for key, array in loop.items()}
    # Untrained weights let the latents grow from step to step: each step is held to its own size.
    yield from compared({**golden, **rows}, {EXACT: exact, NETWORK_TOLERANCE: looped}, is_by_step=True)


def _row_steps(predict: Predict, latents: Tensor, plan: SamplingPlan) -> Iterator[tuple[Tensor, Tensor]]:
    previous = torch.zeros_like(latents)
    for timestep, row in zip(plan.timesteps.astype(int).tolist(), torch.from_numpy(plan.coefficients), strict=True):
        a, b, c, p, q = row
        denoised = p * latents + q * predict(latents, timestep)
        latents, previous = a * latents + b * denoised + c * previous, denoised
        yield latents, denoised


def _network(size: str, rule: Rule) -> XMDPT:
    network = XMDPT(VARIANTS[size.lower()]).eval().requires_grad_(False)
    fill_golden(network, rule)
    return network
