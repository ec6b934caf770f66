"""`python -m export` says what it did and gives 0, 1 for a failed check, 2 for a mistake in the call."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from export.__main__ import main
from export.graphs import GRAPHS
from export.manifest import read_manifest
from tests.export.checks import graph_errors
from tests.export.planted_mistakes import not_a_number
from tests.export.repository_edits import edit_graph
from xmdpt.nn.checkpoint import official_name
from xmdpt.nn.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
KEY = "final_layer.linear.bias"
BUILD = ("build", "--variant", "tiny")


@pytest.fixture(scope="session")
def weights(tiny: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official checkpoint of tiny whose weights are not all those of the rule."""
    path = tmp_path_factory.mktemp("weights") / "tuned.pt"
    state = {official_name(name): tensor for name, tensor in tiny.xmdpt.state_dict().items()}
    torch.save(state | {KEY: state[KEY] + 0.3}, path)
    return path


@pytest.fixture(scope="session")
def built(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository built of these weights by the command, over one whose graphs were in two files; about 15 s."""
    out = tmp_path_factory.mktemp("built") / "models"
    for name in GRAPHS:
        (out / name / "1").mkdir(parents=True)
        for file in ("model.onnx", "model.onnx.data"):
            (out / name / "1" / file).write_bytes(b"of an earlier build")
    assert main([*BUILD, "--weights", str(weights), "--out", str(out), "--no-verify"]) == 0
    return out


def damaged(weights: Path, tmp_path: Path, kind: str) -> Path:
    state, path = torch.load(weights, weights_only=True), tmp_path / f"{kind}.pt"
    if kind == "missing":
        del state[KEY]
    elif kind == "unexpected":
        state["side.bias"] = torch.zeros(1)
    else:
        state[KEY] = torch.zeros(33)
    torch.save(state, path)
    return path


@pytest.mark.parametrize("command", [[], ["build"], ["verify"], ["link"], ["seal"]])
def test_command_when_asked_for_help_then_shown(command: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "export", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("usage: python -m export")
    assert not shown.stderr


@pytest.mark.parametrize("arguments", [[], ["build", "--variant", "huge"], ["check"]])
def test_command_when_called_wrongly_then_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", f"missing {KEY}"),
        ("unexpected", "unexpected side.bias"),
        ("misshaped", f"{KEY} has shape [33] instead of [32]"),
    ],
)
def test_build_when_the_weights_do_not_fit_then_2_and_the_key(
    weights: Path, tmp_path: Path, kind: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"

    status = main([*BUILD, "--weights", str(damaged(weights, tmp_path, kind)), "--out", str(out)])

    assert status == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"", "not a whole file of weights"), (b"PK" * 40, "not a whole file of weights")],
    ids=["missing", "empty", "no zip"],
)
def test_build_when_the_weights_cannot_be_read_then_2_and_the_file(
    tmp_path: Path, content: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.pt"
    if content is not None:
        path.write_bytes(content)

    assert main([*BUILD, "--weights", str(path), "--out", str(tmp_path / "models")]) == 2

    message = capsys.readouterr().err
    assert str(path) in message
    assert words in message


def test_build_when_of_a_file_then_the_manifest_names_it_and_its_digest(built: Path, weights: Path) -> None:
    stated = json.loads((built / "MANIFEST.json").read_text())["weights"]

    content = weights.read_bytes()
    file = {"name": "tuned.pt", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert stated.pop("origin").startswith("xmdpt tuned.pt; untrained: random numbers")
    assert stated == {"is_trained": False, "is_rounded": False, "files": {"xmdpt": file}}


def test_build_when_of_a_file_then_only_the_graph_with_other_weights_differs(built: Path, tiny_built: Path) -> None:
    graphs = [path.relative_to(tiny_built) for path in tiny_built.rglob("*.onnx")]
    differing = [path.parts[0] for path in graphs if (built / path).read_bytes() != (tiny_built / path).read_bytes()]
    assert sorted(differing) == ["sampler", "tdnet_step"]


def test_build_when_graphs_were_in_two_files_then_the_second_ones_are_gone(built: Path) -> None:
    assert not list(built.rglob("*.data"))
    read_manifest(built)


def test_verify_when_the_weights_are_those_of_the_build_under_another_name_then_0_and_a_table(
    built: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = shutil.copy(weights, tmp_path / "renamed.pt")

    status = main(["verify", "--repository", str(built), "--weights", str(same)])

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert len([line for line in lines if line.endswith(" ok")]) == 28 + 2, "every output at 4 sizes, and every sampler"
    assert lines[-1] == "every graph agrees with torch"


def test_verify_when_the_weights_are_not_given_then_2(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--repository", str(built)]) == 2
    assert "give --weights" in capsys.readouterr().err


def test_verify_when_the_weights_are_others_of_the_same_name_then_2(
    built: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(weights, weights_only=True)
    other = tmp_path / weights.name
    torch.save(state | {KEY: state[KEY] + 1}, other)

    assert main(["verify", "--repository", str(built), "--weights", str(other)]) == 2
    assert "built of other weights" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--weights", "--vae", "--dino"])
def test_build_when_a_paper_size_gets_some_files_only_then_2(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"

    assert main(["build", "--variant", "s", option, str(tmp_path), "--out", str(out)]) == 2

    assert capsys.readouterr().err == "python -m export: the variant s needs --weights, --vae and --dino together\n"
    assert not out.exists()


def test_verify_when_a_file_is_damaged_then_1_and_its_name(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "tdnet_step/1/model.onnx").write_bytes(b"cut short")

    assert main(["verify", "--repository", str(repository)]) == 1

    assert capsys.readouterr().err.startswith(f"FAILED {repository}/tdnet_step/1/model.onnx: its SHA-256 is")


def test_verify_when_there_is_no_repository_then_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--repository", str(tmp_path / "none")]) == 1
    assert f"{tmp_path}/none/MANIFEST.json: No such file" in capsys.readouterr().err


def test_verify_when_a_graph_gives_no_numbers_then_1_and_its_line(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_graph(repository, "canet", not_a_number)

    status = main(["verify", "--repository", str(repository), "--quick", "--batch-sizes", "1", "2"])

    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert lines[-1] == "FAILED: a graph differs from torch"
    assert [line.split()[0] for line in lines if line.endswith(" FAILED")] == ["canet"] * 2


def test_comparison_when_the_graphs_are_of_other_weights_then_over_the_bound(built: Path, tiny: Pipeline) -> None:
    rows = graph_errors(built, lambda: tiny, batch_sizes=(1,))
    assert {row.graph for row in rows if not row.is_within_tolerance} == {"tdnet_step", "sampler"}
