"""B11 and B12: the denoiser on a device, step by step as the service runs it, against the device's own rates.

Latents stay on the device and each number of rows has a profile, which on a GPU is a captured graph
(`service.adapters.resident_steps`). B11 is one picture's latency, B12 what many pictures reach of the rate of large
matrix products. Weights are by rule. Without a GPU nothing is measured; `--device cpu` shows that all of it runs.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

from benchmarks.figures import BrokenRunError, Figure, NotMeasuredError, Target
from benchmarks.frozen_parts import PHOTO, SHARE_OF_BLOCKS, frozen_networks, part_runs
from benchmarks.graphs import label, some_condition, step_model, untrained
from benchmarks.matrix_products import ProductsRun, square
from benchmarks.turns import Report
from export.flops import matrix_flops
from service.adapters.resident_steps import OnnxResidentSteps
from service.domain.errors import BackendError
from xmdpt.graph_session import Device, GraphSession, cuda_fault
from xmdpt.repository import Precision
from xmdpt.sampler import IDENTITY_ROW, SamplingPlan, initial_noise, sampling_plan
from xmdpt.spec import VARIANTS, Dinov2Config, Prediction

_GUIDANCE, _TIMESTEP = 2.0, 500.0
# Seconds for 50 steps on an A100, as the paper gives them.
_PUBLISHED_SECONDS = {"s": 1.1, "b": 1.3, "l": 3.1}
_MIN_SPEED_UP = {"s": 40, "b": 35, "l": 40}
_MIN_SHARE = Target(0.5, "at least")
_MANY = 32


@dataclass(frozen=True)
class _Effort:
    """How much is run: numbers of pictures a step, steps of a picture, and the side of the large matrices."""

    rows: tuple[int, ...]
    num_steps: int
    num_rounds: int
    side: int
    copied_bytes: int


_FULL = _Effort((1, 2, 4, 8, 16, 32, 64), num_steps=50, num_rounds=30, side=8192, copied_bytes=1 << 30)
_QUICK = _Effort((1, 2), num_steps=3, num_rounds=2, side=256, copied_bytes=1 << 20)


class Denoiser:
    """`tdnet_step` of one size with its arrays on a device."""

    def __init__(self, name: str, device: Device, rows: Sequence[int]) -> None:
        """Export, load and warm up; on a GPU products are in float16, on the CPU in float32.

        Raises:
            BrokenRunError: steps don't work on the rows.
        """
        networks = untrained(name)
        self.prediction: Prediction = networks.variant.prediction
        # In no other precision: in float32 the weights of size L are too many for one file.
        model = step_model(networks, _precision(device))
        self.flops = matrix_flops(model, batch_size=1)
        """Of one guided picture's step."""
        graph = GraphSession(model.SerializeToString(), Path(), rows[-1], device=device, captures=device == "cuda")
        self.steps = OnnxResidentSteps(graph, networks.variant.width, rows, nullcontext)
        self.condition = some_condition(networks.variant)[0]
        try:
            for size in rows:  # So that all is warm, and what is timed are steps of the rows.
                self.steps.capture(size)
        except BackendError as error:
            raise BrokenRunError(error.detail) from error

    def step_seconds(self, num_rows: int, num_rounds: int) -> list[float]:
        """Wall seconds of steps of so many pictures, warm."""
        # The same step over and over would make numbers grow beyond all bounds, with which a GPU draws less power.
        numbers = np.tile(np.array([_TIMESTEP, _GUIDANCE, *IDENTITY_ROW], np.float32), (num_rows, 1))
        return [_seconds(lambda: self.steps.step(numbers)) for _ in range(num_rounds)]

    def picture_seconds(self, num_steps: int) -> float:
        """Wall seconds from noise to latents of one picture, moved there and back included."""
        plan, noise = sampling_plan(num_steps, _GUIDANCE, prediction=self.prediction), initial_noise(0)

        def run() -> None:
            self.steps.put(0, noise, np.zeros_like(noise), self.condition)
            for index in range(num_steps):
                self.steps.step(_numbers(plan, index)[None])
            self.steps.latents(0)

        return _seconds(run)


def run_latency(is_quick: bool, report: Report, device: Device, sizes: Sequence[str]) -> list[Figure]:
    """B11: one picture.

    Raises:
        NotMeasuredError: the device is a GPU, and there is none.
    """
    effort = _effort(is_quick, device)
    figures: list[Figure] = []
    for name in sizes:
        report(f"loading the denoiser, {label(name)}, on {device}")
        denoiser = Denoiser(name, device, (1,))
        denoiser.picture_seconds(2)
        seconds = [denoiser.picture_seconds(effort.num_steps) for _ in range(max(2, effort.num_rounds // 3))]
        if name in _PUBLISHED_SECONDS and device == "cuda":
            target = Target(_MIN_SPEED_UP[name], "at least")
            ratios = [_PUBLISHED_SECONDS[name] / taken for taken in seconds]
            figures.append(Figure(f"published on an A100 / ours, {label(name)}", ratios, target=target))
        figures.append(Figure(f"{effort.num_steps} steps, one picture, {label(name)}, {device}", seconds, "s"))
    return figures


def run_throughput(is_quick: bool, report: Report, device: Device, sizes: Sequence[str]) -> list[Figure]:
    """B12: many pictures.

    Raises:
        NotMeasuredError: the device is a GPU, and there is none.
    """
    effort = _effort(is_quick, device)
    report(f"rates of {device}")
    dtypes = {"float16": np.float16, "float32": np.float32} if device == "cuda" else {"float32": np.float32}
    rates = {name: _product_rates(effort, dtype, device) for name, dtype in dtypes.items()}
    figures = [Figure(f"one large product, {name}, {device}", rate, "TFLOP/s") for name, rate in rates.items()]
    figures.append(Figure(f"copy within {device}, read and written", _copy_rates(effort, device), "GB/s"))
    ceiling = median(next(iter(rates.values())))
    for name in sizes:
        report(f"loading the denoiser, {label(name)}, on {device}")
        denoiser = Denoiser(name, device, effort.rows)
        for rows in effort.rows:
            seconds = denoiser.step_seconds(rows, effort.num_rounds)
            where = f"{label(name)}, {rows} rows, {device}"
            share = [rows * denoiser.flops / taken / 1e12 / ceiling for taken in seconds]
            figures.append(Figure(f"step, {where}", [1000 * taken for taken in seconds], "ms"))
            target = _MIN_SHARE if rows == _MANY else None
            figures.append(Figure(f"share of the rate of one large product, {where}", share, target=target))
            if rows == _MANY:
                rate = [rows / taken / effort.num_steps for taken in seconds]
                figures.append(Figure(f"pictures of {effort.num_steps} steps a second, {where}", rate))
            report(f"a step of {where}: {1000 * median(seconds):.3g} ms")
    return [*figures, *_parts(effort, sizes, device, report)]


def _parts(effort: _Effort, sizes: Sequence[str], device: Device, report: Report) -> list[Figure]:
    """Encoders and decoder, which are the same for all sizes of the paper; arrays come from here and go back."""
    name = next((size for size in sizes if isinstance(VARIANTS[size].photo_extractor, Dinov2Config)), None)
    if name is None:
        return []
    report(f"loading encoders and decoder, {label(name)}, on {device}")
    figures = []
    for part, run in part_runs(frozen_networks(VARIANTS[name]), _precision(device), device).items():
        run()
        times = SHARE_OF_BLOCKS if part == PHOTO else 1
        seconds = [1000 * times * _seconds(run) for _ in range(effort.num_rounds)]
        # What a call takes without any block counts as often: the figure is above that of all blocks.
        suffix = f", {times} x a call with a share of its blocks" if times > 1 else ""
        figures.append(Figure(f"{part}, one picture, {label(name)}, {device}{suffix}", seconds, "ms"))
    return figures


def _precision(device: Device) -> Precision:
    """Of products: what a GPU has its rate in, and what CPUs compute exactly."""
    return "fp16" if device == "cuda" else "fp32"


def _effort(is_quick: bool, device: Device) -> _Effort:
    if device == "cuda" and (fault := cuda_fault()):
        raise NotMeasuredError(f"not measured on a GPU: {fault}")
    return _QUICK if is_quick else _FULL


def _product_rates(effort: _Effort, dtype: type[np.floating], device: Device) -> list[float]:
    products = square(effort.side)
    run = ProductsRun(products, dtype, device)
    run()
    return [products[0].flops / _seconds(run) / 1e12 for _ in range(effort.num_rounds)]


def _copy_rates(effort: _Effort, device: Device) -> list[float]:
    numbers = np.zeros(effort.copied_bytes, np.uint8)
    first, second = (onnxruntime.OrtValue.ortvalue_from_numpy(numbers.copy(), device, 0) for _ in range(2))
    second.update_inplace(first)
    return [2 * len(numbers) / _seconds(lambda: second.update_inplace(first)) / 1e9 for _ in range(effort.num_rounds)]


def _numbers(plan: SamplingPlan, index: int) -> np.ndarray:
    """[7]: timestep, guidance weight and coefficients of a plan's step."""
    return np.array([plan.timesteps[index], plan.guidance[index], *plan.coefficients[index]], np.float32)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
