"""What `python -m xmdpt.training evaluate` refuses, in one line and with its exit status; its help."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.built_repositories import tiny_repository
from tests.evaluation.command import arguments
from tests.evaluation.small_data import ROOT, write_folder
from tests.export.repository_edits import edit_manifest, sign
from xmdpt.training.__main__ import main


@pytest.mark.parametrize("change", [("--seed", "1"), ("--guidance", "3"), ("--sampler", "dpmpp_2m"), ("--steps", "4")])
def test_evaluate_when_the_pictures_are_of_other_settings_then_2(
    evaluated: Path, folder: Path, change: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(folder, evaluated, "--key-points", str(folder / "poses.csv"), *change)) == 2

    message = capsys.readouterr().err.splitlines()[-1]
    assert "00000.png: drawn with another model, data, seed or settings; give another --out" in message


def test_evaluate_when_the_pictures_are_of_another_pose_then_2(
    evaluated: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "poses.csv").read_text()
    (tmp_path / "poses.csv").write_text(text.replace("[", "[9, ").replace(", -1]", "]"))

    assert main(arguments(folder, evaluated, "--key-points", str(tmp_path / "poses.csv"))) == 2

    assert "drawn with another model, data, seed or settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--limit", "0"], "must be a whole number from 1"),
        (["--steps", "1"], "must be a whole number from 2 to 1000"),
        (["--seed", "-1"], "must be a whole number from 0"),
        (["--frame", "176,256"], "must be like 176x256+40+0"),
        (["--variant", "huge"], "invalid choice"),
        (["--guidance", "much"], "invalid float value"),
    ],
)
def test_evaluate_when_called_wrongly_then_2(
    folder: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments(folder, tmp_path, *options))

    assert end.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key-points", "none.csv"], "none.csv: No such file or directory; give key points with --key-points"),
        (["--pairs", "none.txt"], "none.txt: No such file or directory; give the pair file with --pairs"),
        (["--key-points", "KEY", "--variant", "s"], "holds the variant tiny, not s; build it with"),
        (
            ["--key-points", "KEY", "--repository", "none"],
            "MANIFEST.json: No such file or directory; build a repository",
        ),
        (["--key-points", "KEY", "--weights", "a.pt"], "--weights, --vae and --dino are for --engine torch"),
        (["--key-points", "KEY", "--engine", "torch", "--weights", "no.pt"], "no.pt: No such file"),
        (
            ["--key-points", "KEY", "--engine", "torch", "--variant", "s", "--weights", "no.pt"],
            "the variant s needs --weights, --vae and --dino together",
        ),
        (["--key-points", "KEY", "--inception", "a.pth"], "FID needs both --inception and --fid-against"),
        (["--key-points", "KEY", "--inception", "no.pth", "--fid-against", "a"], "no.pth: No such file or directory"),
        (["--key-points", "KEY", "--lpips", "no.pth"], "no.pth: No such file or directory"),
    ],
)
def test_evaluate_when_the_input_does_not_fit_then_2_in_one_line(
    folder: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(folder / "poses.csv") if option == "KEY" else option for option in options]

    assert main(arguments(folder, tmp_path / "out", *options)) == 2

    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("python -m xmdpt.training evaluate: ")
    assert words in message
    assert not (tmp_path / "out").exists()


def test_evaluate_when_a_photo_is_missing_then_file_and_line_before_anything_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_folder(tmp_path / "data")
    (data / "test_pairs.txt").write_text((data / "test_pairs.txt").read_text() + "img/gone.jpg,img/gone.jpg\n")

    assert main(arguments(data, tmp_path / "out", "--key-points", str(data / "poses.csv"))) == 2

    assert f"{data}/test_pairs.txt:5: no photo img/gone.jpg in {data}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluate_when_the_fid_list_names_a_photo_that_is_not_there_then_its_line(
    folder: Path, inception_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.lst").write_text("\nimg/gone.jpg\n")
    options = ("--inception", str(inception_file), "--fid-against", str(tmp_path / "train.lst"))

    assert main(arguments(folder, tmp_path / "out", "--key-points", str(folder / "poses.csv"), *options)) == 2

    assert "train.lst:2: no photo img/gone.jpg" in capsys.readouterr().err


CANET = "canet/1/model.onnx"


def cut(path: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_bytes((root / path).read_bytes()[:-1])


def lead_elsewhere(root: Path) -> None:
    """As if the manifest had been made for a graph outside: all digests agree."""
    shutil.copy(root / CANET, root.parent / "canet.onnx")
    edit_manifest(root, lambda manifest: manifest["graphs"]["canet"].update(path="../canet.onnx"))
    sign(root)


def alter_further_weights(root: Path) -> None:
    """As if canet were in two files, of which one has changed since."""
    data = root / f"{CANET}.data"
    data.write_bytes(bytes(4096))
    further = {"path": f"{CANET}.data", "sha256": "", "bytes": 4096}
    edit_manifest(root, lambda manifest: manifest["graphs"]["canet"]["external"].append(further))
    sign(root)
    data.write_bytes(bytes(4095) + b"1")


DAMAGE: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "graph cut short": (cut(CANET), 1, f"{CANET}: its SHA-256 is"),
    "configuration cut short": (cut("canet/config.pbtxt"), 1, "canet/config.pbtxt: its SHA-256 is"),
    "graph gone": (lambda root: (root / CANET).unlink(), 1, f"{CANET}: No such file or directory, though"),
    "further weights altered": (alter_further_weights, 1, f"{CANET}.data: its SHA-256 is"),
    "manifest leads elsewhere": (lead_elsewhere, 2, "MANIFEST.json: the file of canet is not canet/1/model.onnx;"),
    "manifest cut short": (lambda root: (root / "MANIFEST.json").write_text("{"), 2, "MANIFEST.json: not JSON"),
}


@pytest.mark.parametrize(("damage", "status", "words"), DAMAGE.values(), ids=DAMAGE)
def test_evaluate_when_the_repository_is_damaged_then_refused_in_one_line(
    folder: Path,
    tmp_path: Path,
    damage: Callable[[Path], object],
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(Path(shutil.copytree(tiny_repository(), tmp_path / "models")))
    call = arguments(folder, tmp_path / "out", "--key-points", str(folder / "poses.csv"))

    assert main([*call, "--repository", str(tmp_path / "models")]) == status

    (message,) = capsys.readouterr().err.splitlines()
    assert words in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [[], ["evaluate"]])
def test_command_when_asked_for_help_then_shown(command: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "xmdpt.training", *command, "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.startswith("usage: python -m xmdpt.training")
    assert not shown.stderr
    assert not command or "examples:" in shown.stdout
