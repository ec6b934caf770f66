"""The graph `sampler` is the graph `tdnet_step` repeated, by every sampler, a new one too, for rows of any length."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from export.graphs import GRAPHS
from export.verify import Runner, graph_runner
from tests.built_repositories import demo_networks, demo_repository, tiny_networks, tiny_repository
from xmdpt.nn.pipeline import Pipeline
from xmdpt.repository import load_manifest
from xmdpt.sampler import SAMPLERS, SamplingPlan, ddim_rows, initial_noise, sampling_plan, stack_plans
from xmdpt.spec import Prediction

MAX_RELATIVE_ERROR = 1e-5
STEPS = 50


class Built:
    """A variant's networks and the two graphs of its repository."""

    def __init__(self, networks: Pipeline, root: Path) -> None:
        manifest = load_manifest(root)
        self.networks, self.root = networks, root
        self.sampler, self.step = (graph_runner(root, manifest, name) for name in ("sampler", "tdnet_step"))

    def conditions(self, rows: int) -> NDArray[np.float32]:
        return np.random.default_rng(7).standard_normal((rows, self.networks.variant.width), np.float32)

    def plan(self, num_steps: int, sampler: str) -> SamplingPlan:
        return sampling_plan(num_steps, 2.0, sampler, self.networks.variant.prediction)


@pytest.fixture(
    scope="session", params=[(tiny_networks, tiny_repository), (demo_networks, demo_repository)], ids=["tiny", "demo"]
)
def built(request: pytest.FixtureRequest) -> Built:
    networks, repository = request.param
    return Built(networks(), repository())


def noise_of(rows: int) -> NDArray[np.float32]:
    return np.stack([initial_noise(seed) for seed in range(rows)])


def by_the_loop(sampler: Runner, plans: list[SamplingPlan], condition: NDArray[np.float32]) -> NDArray[np.float32]:
    stacked = stack_plans(plans)
    (latents,) = sampler({"noise": noise_of(len(plans)), "condition": condition, **vars(stacked)})
    return latents


def by_steps(step: Runner, plan: SamplingPlan, condition: NDArray[np.float32]) -> NDArray[np.float32]:
    latents = noise_of(len(condition))
    denoised, ones = np.zeros_like(latents), np.ones((len(condition), 1), np.float32)
    for timestep, guidance, row in zip(plan.timesteps, plan.guidance, plan.coefficients, strict=True):
        latents, denoised = step(
            {
                "latents": latents,
                "previous_denoised": denoised,
                "condition": condition,
                "timestep": ones * timestep,
                "guidance": ones * guidance,
                "coefficients": ones * row,
            }
        )
    return latents


def by_torch(networks: Pipeline, plan: SamplingPlan, condition: NDArray[np.float32]) -> NDArray[np.float32]:
    plans = stack_plans([plan] * len(condition))
    with torch.inference_mode():
        arrays = (noise_of(len(condition)), condition, *vars(plans).values())
        return GRAPHS["sampler"](networks)(*map(torch.from_numpy, arrays)).numpy()


def relative(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_when_run_for_50_steps_then_as_the_steps_one_by_one_and_as_torch(built: Built, sampler: str) -> None:
    plan, condition = built.plan(STEPS, sampler), built.conditions(2)

    found = by_the_loop(built.sampler, [plan] * 2, condition)

    assert relative(found, by_steps(built.step, plan, condition)) <= MAX_RELATIVE_ERROR
    assert relative(found, by_torch(built.networks, plan, condition)) <= MAX_RELATIVE_ERROR
    assert relative(found, by_the_loop(built.sampler, [built.plan(STEPS - 1, sampler)] * 2, condition)) > 1e-3


def test_sampler_when_rows_have_other_lengths_then_each_is_bit_for_bit_as_alone(built: Built) -> None:
    plans = [built.plan(3, "ddim"), built.plan(50, "dpmpp_2m"), built.plan(5, "dpmpp_2m")]
    condition = built.conditions(3)

    together = by_the_loop(built.sampler, plans, condition)

    for row, plan in enumerate(plans):
        inputs = {"noise": noise_of(3)[row : row + 1], "condition": condition[row : row + 1]}
        (alone,) = built.sampler({**inputs, **vars(stack_plans([plan]))})
        assert np.array_equal(together[row], alone[0])


def test_sampler_when_a_new_solver_is_only_data_then_no_graph_changes(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    def momentum_rows(alpha_bars: NDArray[np.float64], prediction: Prediction) -> NDArray[np.float64]:
        rows = ddim_rows(alpha_bars, prediction)
        rows[1:-1, 1] += 0.1
        rows[1:-1, 2] -= 0.1
        return rows

    monkeypatch.setattr("xmdpt.sampler.SAMPLERS", {**SAMPLERS, "momentum": momentum_rows})
    plan, condition = built.plan(12, "momentum"), built.conditions(1)

    found = by_the_loop(built.sampler, [plan], condition)

    assert relative(found, by_torch(built.networks, plan, condition)) <= MAX_RELATIVE_ERROR
    assert relative(found, by_the_loop(built.sampler, [built.plan(12, "ddim")], condition)) > 1e-3


@pytest.mark.parametrize("rows", [1, 2, 8])
@pytest.mark.parametrize("num_steps", [2, 7])
def test_sampler_when_the_batch_and_the_steps_change_then_one_graph_runs_all(
    built: Built, rows: int, num_steps: int
) -> None:
    latents = by_the_loop(built.sampler, [built.plan(num_steps, "ddim")] * rows, built.conditions(rows))

    assert latents.shape == (rows, 4, 32, 32)
    assert np.isfinite(latents).all()


def test_sampler_when_built_then_the_weights_are_outside_of_the_loop_and_once(built: Built) -> None:
    model = onnx.load(built.root / "sampler/1/model.onnx", load_external_data=False)
    step = onnx.load(built.root / "tdnet_step/1/model.onnx", load_external_data=False)
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    body = loop.attribute[0].g

    assert not body.initializer
    assert {tensor.name for tensor in step.graph.initializer} < {tensor.name for tensor in model.graph.initializer}
    # Nothing that could run once runs at each step.
    changing = {value.name for value in body.input}
    for node in body.node:
        assert not changing.isdisjoint(node.input), f"{node.name} does not change from step to step"
        changing |= set(node.output)
