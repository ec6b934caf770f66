"""The paper's recipe on frozen networks, and its augmentation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.training.conftest import write_recipe
from xmdpt.nn.checkpoint import load_xmdpt
from xmdpt.skeleton import MISSING
from xmdpt.spec import VARIANTS
from xmdpt.training.__main__ import main
from xmdpt.training.augmented import enlarged, mirrored

SPOT = np.array([200, 30, 60], np.uint8)


def test_it_leaves_an_official_checkpoint(rendered: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "toy.toml", num_steps=2, variance_weight=1.0, masked_from=0.0)
    arguments = ["denoiser", "--variant", "tiny", "--config", str(recipe), "--data", str(rendered), "--jobs", "1"]

    assert main([*arguments, "--out", str(tmp_path / "run")]) == 0

    network = load_xmdpt(VARIANTS["tiny"], tmp_path / "run" / "ema.safetensors")
    # The gates began at zero.
    assert network.state_dict()["tdnet.final_layer.linear.weight"].abs().max() > 0


def test_it_goes_on_from_an_official_checkpoint(rendered: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "toy.toml", num_steps=2, variance_weight=1.0, masked_from=0.0)
    other = write_recipe(tmp_path / "other.toml", num_steps=2, variance_weight=1.0, masked_from=0.0, seed=4)
    common = ["denoiser", "--variant", "tiny", "--data", str(rendered), "--jobs", "1"]
    assert main([*common, "--config", str(recipe), "--out", str(tmp_path / "first")]) == 0
    init = tmp_path / "first" / "ema.safetensors"

    arguments = [*common, "--config", str(other), "--out", str(tmp_path / "second"), "--init", str(init)]
    assert main([*arguments, "--stop-after", "0.001"]) == 0

    first, second = load_file(init), load_file(tmp_path / "second" / "ema.safetensors")
    assert all((second[name] - tensor).abs().max() < 0.01 for name, tensor in first.items())


def test_a_size_of_the_paper_needs_its_frozen_networks(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["denoiser", "--variant", "s", "--data", str(rendered), "--out", str(tmp_path / "run"), "--jobs", "1"]

    assert main(arguments) == 2

    assert "the variant s needs --vae and --dino" in capsys.readouterr().err


def spotted(x: int, y: int) -> np.ndarray:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[y - 2 : y + 3, x - 2 : x + 3] = SPOT
    return picture


def centre_of(picture: np.ndarray) -> np.ndarray:
    weights = picture[..., 0].astype(float)
    rows, columns = np.mgrid[:256, :256]
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@given(st.integers(20, 235), st.integers(20, 235), st.floats(1, 1.05), st.integers(0, 2**32))
def test_key_points_follow_the_enlarged_picture(x: int, y: int, scale: float, seed: int) -> None:
    points = np.array([[x, y], [MISSING, MISSING]])

    picture, moved = enlarged(spotted(x, y), points, scale, np.random.default_rng(seed))

    assert picture.shape == (256, 256, 3)
    np.testing.assert_allclose(moved[0], centre_of(picture), atol=0.6)
    assert moved[1].tolist() == [MISSING, MISSING]


@given(st.integers(2, 253), st.integers(2, 253))
def test_key_points_follow_the_mirrored_picture(x: int, y: int) -> None:
    picture, moved = mirrored(spotted(x, y), np.array([[x, y], [MISSING, MISSING]]))

    np.testing.assert_allclose(moved[0], centre_of(picture), atol=1e-9)
    assert moved[1].tolist() == [MISSING, MISSING]


def test_an_enlarged_picture_at_its_own_size_is_itself() -> None:
    picture = spotted(100, 50)

    same, moved = enlarged(picture, np.array([[100.0, 50.0]]), 1.0, np.random.default_rng(0))

    assert np.array_equal(same, picture)
    assert moved.tolist() == [[100.0, 50.0]]


def test_too_few_pairs_are_refused(tmp_path: Path, rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "pairs.jsonl").write_text((rendered / "pairs.jsonl").read_text().splitlines()[0] + "\n")
    recipe = write_recipe(tmp_path / "toy.toml")
    arguments = ["--variant", "tiny", "--config", str(recipe), "--data", str(tmp_path / "few"), "--jobs", "1"]

    assert main(["denoiser", *arguments, "--out", str(tmp_path / "run")]) == 2

    assert "holds 1 pairs; at least 4 are needed" in capsys.readouterr().err
