"""The whole way to a checkpoint at toy size, by the commands that a person would call."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.training.conftest import write_recipe
from xmdpt.nn.bundle import load_bundle
from xmdpt.nn.mipnet import KEPT_RATIO, kept_cells
from xmdpt.spec import VARIANTS, PatchVaeConfig
from xmdpt.training.__main__ import main
from xmdpt.training.prepare import read_autoencoder


def prepared(rendered: Path, recipe: Path, folder: Path) -> tuple[Path, Path]:
    """Train an autoencoder for four steps and prepare pictures with it; return its file and their folder."""
    run = folder / "autoencoder"
    common = ["--config", str(recipe), "--jobs", "1"]
    assert main(["autoencoder", "--data", str(rendered), "--out", str(run), *common]) == 0
    autoencoder = run / "autoencoder.safetensors"
    data = folder / "data"
    arguments = ["prepare", "--autoencoder", str(autoencoder), "--persons", "4", "--views", "2", "--out", str(data)]
    assert main([*arguments, "--jobs", "1"]) == 0
    return autoencoder, data


@pytest.fixture(scope="session")
def inputs(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    return prepared(rendered, write_recipe(folder / "toy.toml"), folder)


@pytest.fixture(scope="session")
def finished(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four steps."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(denoiser(inputs, write_recipe(folder / "toy.toml"), folder / "run")) == 0
    return folder / "run"


def denoiser(inputs: tuple[Path, Path], recipe: Path, out: Path, *more: str) -> list[str]:
    autoencoder, data = inputs
    files = ["--autoencoder", str(autoencoder), "--data", str(data), "--out", str(out)]
    return ["denoiser", "--config", str(recipe), "--jobs", "1", *files, *more]


def test_a_run_leaves_weights_that_serve_and_pictures_of_how_it_went(inputs: tuple[Path, Path], finished: Path) -> None:
    out = finished

    pipeline = load_bundle(VARIANTS["demo"], out / "demo.safetensors")
    autoencoder = load_file(inputs[0])
    torch.testing.assert_close(pipeline.vae.latent_mean, autoencoder["latent_mean"].half().float())
    assert not any(name.startswith("mipnet") for name in pipeline.xmdpt.state_dict())
    for name in ("curves.png", "sheet_0000004.png"):
        with Image.open(out / name) as picture:
            assert picture.size[0] > 300
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert {"x0_950", "x0_950_other_pose", "psnr"} <= lines[-1].keys()


def test_killed_and_started_again_a_run_ends_where_it_would_have_ended(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "toy.toml", num_steps=6)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(denoiser(inputs, recipe, whole)) == 0
    command = [sys.executable, "-m", "xmdpt.training", *denoiser(inputs, recipe, broken, "--save-every", "0.01")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (broken / "state.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert main(denoiser(inputs, recipe, broken)) == 0

    expected, found = load_file(whole / "ema.safetensors"), load_file(broken / "ema.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)


def test_two_processes_share_each_batch(inputs: tuple[Path, Path], recipe: Path, tmp_path: Path) -> None:
    arguments = denoiser(inputs, recipe, tmp_path / "run")
    arguments[arguments.index("--jobs") + 1] = "2"
    command = [sys.executable, "-m", "xmdpt.training", *arguments]

    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "demo.safetensors").exists()


def test_a_run_goes_on_from_published_weights(inputs: tuple[Path, Path], finished: Path, tmp_path: Path) -> None:
    init = finished / "ema.safetensors"
    # Of another seed, so that what is drawn would be far from these weights.
    other = write_recipe(tmp_path / "other.toml", seed=4)

    for name, more in {"second": ["--init", str(init)], "drawn": []}.items():
        assert main(denoiser(inputs, other, tmp_path / name, "--stop-after", "0.001", *more)) == 0

    first = load_file(init)
    second, drawn = (load_file(tmp_path / name / "ema.safetensors") for name in ("second", "drawn"))
    weight = "xmdpt.tdnet.blocks.0.mlp.fc1.weight"
    # One step from there, by a learning rate of at most 1e-3.
    assert all((second[name] - tensor).abs().max() < 0.01 for name, tensor in first.items())
    assert (drawn[weight] - first[weight]).abs().max() > 0.05


def test_a_run_goes_on_from_a_bundle(inputs: tuple[Path, Path], finished: Path, tmp_path: Path) -> None:
    bundle = finished / "demo.safetensors"
    other = write_recipe(tmp_path / "other.toml", seed=4)
    arguments = denoiser(inputs, other, tmp_path / "second", "--init", str(bundle), "--stop-after", "0.001")

    assert main(arguments) == 0

    first = load_bundle(VARIANTS["demo"], bundle)
    second = load_bundle(VARIANTS["demo"], tmp_path / "second" / "demo.safetensors").state_dict()
    assert all((second[name] - tensor).abs().max() < 0.01 for name, tensor in first.state_dict().items())
    shape = VARIANTS["demo"].vae
    assert isinstance(shape, PatchVaeConfig)
    assert torch.equal(read_autoencoder(shape, bundle).latent_mean, first.state_dict()["vae.latent_mean"])


def test_weights_of_another_variant_are_refused(
    inputs: tuple[Path, Path], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(denoiser(inputs, recipe, tmp_path / "run", "--init", str(inputs[0]))) == 2

    assert "do not fit the network: missing xmdpt." in capsys.readouterr().err


def test_latents_of_another_autoencoder_are_refused(
    inputs: tuple[Path, Path], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.safetensors"
    save_file(load_file(inputs[0]), other, {"another": "digest"})

    assert main(denoiser((other, inputs[1]), recipe, tmp_path / "run")) == 2

    assert "was prepared with another autoencoder" in capsys.readouterr().err


def test_pictures_that_are_not_all_there_are_refused(
    inputs: tuple[Path, Path], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "run.json").write_text((inputs[1] / "run.json").read_text())

    assert main(denoiser((inputs[0], part), recipe, tmp_path / "run")) == 2

    assert "is not whole" in capsys.readouterr().err


def test_processes_must_divide_the_batch(
    inputs: tuple[Path, Path], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = denoiser(inputs, recipe, tmp_path / "run")
    arguments[arguments.index("--jobs") + 1] = "3"

    assert main(arguments) == 2

    assert "--jobs 3: must divide the recipe's batch_size, 2" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told(
    inputs: tuple[Path, Path], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert main(denoiser(inputs, recipe, tmp_path / "file")) == 1

    assert "File exists" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(
    inputs: tuple[Path, Path], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(denoiser(inputs, recipe, tmp_path / "run", "--device", "warp")) == 2

    assert "--device warp: " in capsys.readouterr().err


def test_a_folder_holds_one_run(
    inputs: tuple[Path, Path], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(denoiser(inputs, recipe, out, "--stop-after", "0.001")) == 0
    other = write_recipe(tmp_path / "other.toml", num_steps=5)

    assert main(denoiser(inputs, other, out)) == 2

    assert "denoiser.num_steps (4, not 5)" in capsys.readouterr().err


@pytest.mark.parametrize("num_tokens", [256, 64, 10])
def test_the_masked_pass_keeps_seven_tenths_of_the_tokens(num_tokens: int) -> None:
    kept, place = kept_cells(torch.rand(3, num_tokens))

    assert kept.shape == (3, int(0.7 * num_tokens)) == (3, {256: 179, 64: 44, 10: 7}[num_tokens])
    assert (place < kept.shape[1]).sum(dim=1).tolist() == [kept.shape[1]] * 3
    assert KEPT_RATIO == 0.7
