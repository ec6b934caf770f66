"""Whole loops against the golden ones: DDIM by the reference and by the served coefficient rows, and DDPM."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from xmdpt.nn.reference import Predict, ddim_steps, ddpm_steps, guided, guided_with_variance
from xmdpt.nn.untrained import golden_base, seeded_normal
from xmdpt.parity import tolerances
from xmdpt.parity.golden import Array, Golden, Outcome, compared
from xmdpt.parity.network import golden_conditions, golden_network
from xmdpt.parity.tables import GUIDANCES
from xmdpt.sampler import SamplingPlan, sampling_plan

_NUM_STEPS = 10
_SHAPE = (2, 4, 32, 32)


def sampling_checks(golden: Golden, size: str) -> Iterator[Outcome]:
    """Ten steps of each loop that the file holds; what a row loop gives is compared with DDIM's arrays."""
    network = golden_network(size, golden_base)
    start = torch.from_numpy(seeded_normal("sample.z", _SHAPE).astype(np.float32))
    noises = torch.from_numpy(seeded_normal("sample.step_noise", (_NUM_STEPS, *_SHAPE)).astype(np.float32))
    plan = sampling_plan(_NUM_STEPS, GUIDANCES[0][0])
    timesteps = plan.timesteps.astype(int).tolist()
    given = golden_conditions((1.0, 1.0))
    rows = {f"rows.{key.removeprefix('ddim_eta0.')}": golden[key] for key in golden if key.startswith("ddim_eta0.")}
    with torch.inference_mode():
        source_vector = network.source_vector(given.photo_tokens, given.source_latents)
        condition = network.canet.condition(source_vector, network.canet.pose_vector(given.pose_tokens))
        predict = guided(network.tdnet, condition, *GUIDANCES[0])
        loops = {
            "ddim_eta0": lambda: ddim_steps(predict, start, timesteps),
            "rows": lambda: _row_steps(predict, start, plan),
            "ddim_eta1": lambda: ddim_steps(predict, start, timesteps, eta=1.0, noises=noises),
            "ddpm": lambda: ddpm_steps(
                guided_with_variance(network.tdnet, condition, *GUIDANCES[0]), start, timesteps, noises
            ),
        }
        looped: dict[str, Array] = {}
        for name, steps in loops.items():
            if any(key.startswith(f"{name}.") for key in (*golden, *rows)):
                latents, denoised = zip(*steps(), strict=True)
                looped |= {f"{name}.samples": torch.stack(latents).numpy()}
                looped |= {f"{name}.pred_xstart": torch.stack(denoised).numpy()}
    # A golden file may hold a corner of the latents only.
    wanted = {**golden, **rows}
    looped = {
        key: value[tuple(slice(size) for size in wanted[key].shape)] if key in wanted else value
        for key, value in looped.items()
    }
    exact = {"z": start.numpy(), "step_noise": noises.numpy(), "timesteps": plan.timesteps}
    # Untrained weights let the latents grow from step to step: each step is held to its own size.
    groups = {tolerances.EXACT: exact, tolerances.NETWORK: looped}
    yield from compared(wanted, groups, is_by_step=True)


def _row_steps(predict: Predict, latents: Tensor, plan: SamplingPlan) -> Iterator[tuple[Tensor, Tensor]]:
    previous = torch.zeros_like(latents)
    for timestep, row in zip(plan.timesteps.astype(int).tolist(), torch.from_numpy(plan.coefficients), strict=True):
        a, b, c, p, q = row
        denoised = p * latents + q * predict(latents, timestep)
        latents, previous = a * latents + b * denoised + c * previous, denoised
        yield latents, denoised
