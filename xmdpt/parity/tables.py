"""The noise schedule and the skeletons against the golden ones: float64 tables, and pictures byte by byte."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from xmdpt.guidance import guidance_weights
from xmdpt.nn.dinov2 import resize_224
from xmdpt.noise_schedule import betas_of, cumulative_alphas, kept_timesteps, posterior
from xmdpt.parity import tolerances
from xmdpt.parity.golden import Array, Golden, Outcome, compared
from xmdpt.skeleton import draw_skeleton, to_frame
from xmdpt.spec import IMAGE_SIZE, NUM_TRAIN_TIMESTEPS

GUIDANCES = ((2.0, 0.01), (3.8, 4.0))
"""Scale and power: those of the paper's results, and MDT's, whose weight depends on the timestep."""


def schedule_checks(golden: Golden) -> Iterator[Outcome]:
    """The whole schedule, three respaced ones of ours, and one whose spacing other software uses."""
    spacings = {"full": np.arange(NUM_TRAIN_TIMESTEPS), "ddim50": np.arange(0, NUM_TRAIN_TIMESTEPS, 20)}
    spacings |= {str(count): kept_timesteps(count)[::-1] for count in (10, 50, 250)}
    exact: dict[str, Array] = {}
    tables: dict[str, Array] = {}
    derived: dict[str, Array] = {}
    for name, kept in spacings.items():
        alpha_bars = cumulative_alphas()[kept]
        exact |= {f"{name}.timestep_map": kept, f"{name}.betas": betas_of(alpha_bars)}
        tables |= {f"{name}.alphas_cumprod": alpha_bars}
        between = posterior(alpha_bars)
        derived |= {
            f"{name}.posterior_variance": between.variance,
            f"{name}.posterior_log_variance_clipped": between.log_variance,
            f"{name}.posterior_mean_coef1": between.picture_weight,
            f"{name}.posterior_mean_coef2": between.latents_weight,
        }
    weights = {
        f"cfgscale_{scale}_{power}": guidance_weights(np.arange(NUM_TRAIN_TIMESTEPS), scale, power)
        for scale, power in GUIDANCES
    }
    groups = {
        tolerances.EXACT: exact,
        tolerances.TABLE: tables,
        tolerances.LOG_TABLE: derived,
        tolerances.ROUNDING: weights,
    }
    yield from compared(golden, groups)


def skeleton_checks(golden: Golden) -> Iterator[Outcome]:
    """Bytes must be equal. The annotation's frame holds the 176 px wide photo between two bars of 40 px."""
    pictures: dict[str, Array] = {}
    resized: dict[str, Array] = {}
    key_points: dict[str, NDArray[np.float64]] = {}
    for name in golden:
        if name.startswith("kp_in_"):
            number = name.removeprefix("kp_in_")
            points = to_frame(golden[name], size=(176, IMAGE_SIZE), origin=(40, 0))
            # As the pose extractor takes it: channels first, divided by its maximum.
            picture = draw_skeleton(points).transpose(2, 0, 1).astype(np.float32) / 255
            pictures |= {f"pose_{number}": picture / picture.max(), f"pose_{number}_max": picture.max()}
            resized[f"pose224_noaa_{number}"] = resize_224(torch.from_numpy(picture / picture.max())).numpy()
            key_points[f"kp_px_{number}"] = points
    drawn = {name: array for name, array in golden.items() if not name.startswith("kp_in_")}
    groups = {tolerances.EXACT: pictures, tolerances.RESIZE: resized, tolerances.ROUNDING: key_points}
    yield from compared(drawn, groups)
