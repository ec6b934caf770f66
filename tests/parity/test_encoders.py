"""DINOv2 and the autoencoder against the official numbers, and each mistake that those can show, planted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.encoder_mistakes import DINOV2_MISTAKES, INPUT_MISTAKES, VAE_MISTAKES, Mistake, interpolated
from xmdpt.nn.dinov2 import HUB_TOKENS, bake_position_table, resize_224
from xmdpt.nn.encoder_rules import dinov2_base, dinov2_by_rule, dinov2_strong, vae_by_rule
from xmdpt.nn.vae import Vae, posterior_sample
from xmdpt.parity import parity
from xmdpt.parity.encoders import ENCODER_FILES, dinov2_checks, golden_pictures, vae_checks
from xmdpt.parity.golden import Check, Outcome, Skipped
from xmdpt.spec import VARIANTS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TINY = VARIANTS["tiny"]
CONFIGS = {"b-cut": TINY.pose_extractor, "g-cut": TINY.photo_extractor}
RULES = {"base": dinov2_base, "strong": dinov2_strong}


def golden_of(name: str, prefix: str = "") -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays.files if key.startswith(prefix)}


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    found = golden_pictures(GOLDEN)
    assert found is not None
    return found


def checks_of(outcomes: Iterator[Outcome]) -> dict[str, Check]:
    return {outcome.name: outcome for outcome in outcomes if isinstance(outcome, Check)}


def test_parity_when_the_encoders_are_compared_then_everything_is_within_its_tolerance() -> None:
    checks = checks_of(outcome for outcome in parity(GOLDEN, ()) if outcome.name.split("/")[0] in ENCODER_FILES)

    assert [check for check in checks.values() if not check.is_within_tolerance] == []
    assert {name: check.tolerance for name, check in checks.items()} == {
        "dinov2_resize/x224": 5e-5,
        **{f"dinov2_cut/{cut}.{rule}.{a}": 1e-5 for cut in CONFIGS for rule in RULES for a in ("out", "pos")},
        **{f"vae_tiny/{name}": 5e-5 for name in ("moments", "sample", "dec_z.out", "dec_mode.out")},
        **{f"vae_tiny/float64.{name}": 5e-6 for name in ("moments", "sample", "dec_z.out", "dec_mode.out")},
    }


def test_parity_when_the_pictures_are_missing_then_what_is_made_of_them_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "vae_tiny.npz").write_bytes((GOLDEN / "vae_tiny.npz").read_bytes())

    (outcome,) = [outcome for outcome in parity(tmp_path, ()) if outcome.name.startswith("vae_tiny")]

    assert outcome == Skipped("vae_tiny/all", "the pictures in dinov2_resize.npz are not in this folder")


@pytest.mark.parametrize(("case", "plant"), DINOV2_MISTAKES.values(), ids=DINOV2_MISTAKES)
def test_dinov2_when_a_mistake_is_planted_then_the_golden_numbers_show_it(
    pictures: Tensor, case: str, plant: Mistake
) -> None:
    cut, rule = case.split(".")
    golden, network = golden_of("dinov2_cut", f"{case}.out"), dinov2_by_rule(CONFIGS[cut], RULES[rule])

    (right,) = checks_of(dinov2_checks(golden, network, resize_224(pictures), f"{case}.")).values()
    plant(network)
    (wrong,) = checks_of(dinov2_checks(golden, network, resize_224(pictures), f"{case}.")).values()

    assert right.is_within_tolerance
    assert not wrong.is_within_tolerance


@pytest.mark.parametrize("resize", INPUT_MISTAKES.values(), ids=INPUT_MISTAKES)
def test_dinov2_when_its_input_is_made_wrongly_then_the_golden_numbers_show_it(
    pictures: Tensor, resize: Callable[[Tensor], Tensor]
) -> None:
    golden = golden_of("dinov2_cut", "b-cut.strong.out")
    network = dinov2_by_rule(CONFIGS["b-cut"], dinov2_strong)

    (check,) = checks_of(dinov2_checks(golden, network, resize(pictures), "b-cut.strong.")).values()

    assert not check.is_within_tolerance


def test_resize_when_compared_with_torchs_then_the_same_within_float32_coordinates(pictures: Tensor) -> None:
    assert (resize_224(pictures) - interpolated(pictures)).abs().max() <= 5e-5 * pictures.abs().max()


def test_position_table_when_baked_then_the_class_token_keeps_its_entry_and_constants_stay() -> None:
    table = torch.full((1, HUB_TOKENS, 3), 0.25)
    table[:, 0] = 7

    baked = bake_position_table(table)

    assert torch.equal(baked[:, 0], table[:, 0])
    assert torch.allclose(baked[:, 1:], torch.tensor(0.25), atol=1e-6)


@pytest.mark.parametrize(("plant", "shown"), VAE_MISTAKES.values(), ids=VAE_MISTAKES)
def test_vae_when_a_mistake_is_planted_then_the_golden_numbers_show_it(
    pictures: Tensor, plant: Mistake, shown: set[str]
) -> None:
    network: Vae = vae_by_rule(TINY.vae)
    plant(network)

    checks = checks_of(vae_checks(golden_of("vae_tiny"), network, "tiny", pictures))

    assert shown <= {name for name, check in checks.items() if not check.is_within_tolerance}


def test_posterior_when_its_log_variance_is_extreme_then_clamped() -> None:
    moments = torch.tensor([0.0, 0.0, 0.0, 0.0, -1e4, 1e4, 0.0, 20.0]).view(1, 8, 1, 1)

    sample = posterior_sample(moments, torch.ones(1, 4, 1, 1)).flatten()

    assert torch.allclose(sample, torch.exp(torch.tensor([-15.0, 10.0, 0.0, 10.0])))
