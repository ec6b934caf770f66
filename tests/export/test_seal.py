"""Tuned configurations are refused until they are sealed, and sealing checks them and changes nothing else."""

import json
from functools import partial
from pathlib import Path

import pytest

from export.__main__ import main
from export.manifest import read_manifest
from export.seal import seal_configs
from service.adapters.model_repository import open_model_repository
from service.domain.errors import ModelRepositoryError
from tests.export.repository_edits import edit_manifest, replace_text
from xmdpt.repository import RepositoryError, file_digest

CONFIG, CPU_CONFIG, MANIFEST = "canet/config.pbtxt", "canet/configs/cpu.pbtxt", "MANIFEST.json"
tune = partial(replace_text, CPU_CONFIG, "max_queue_size: 256", "max_queue_size: 7")


def manifest_of(root: Path) -> dict:
    return json.loads((root / MANIFEST).read_text())


def test_repository_when_a_config_was_tuned_then_refused_until_sealed(repository: Path) -> None:
    tune(repository)
    with pytest.raises(RepositoryError, match=f"{CPU_CONFIG}: its SHA-256 is"):
        read_manifest(repository)
    with pytest.raises(ModelRepositoryError, match=f"{CPU_CONFIG}: its SHA-256 is"):
        open_model_repository(repository)

    assert seal_configs(repository) == [CPU_CONFIG]

    read_manifest(repository)
    open_model_repository(repository)


def test_seal_when_done_then_only_the_digest_of_that_config_has_changed(repository: Path) -> None:
    # What a later version or a verification adds stays too.
    edit_manifest(repository, lambda manifest: manifest.update(verification={"date": "2026-01-01"}))
    before, files = manifest_of(repository), {path: path.stat() for path in repository.rglob("*")}
    tune(repository)

    seal_configs(repository)

    after = manifest_of(repository)
    assert after["graphs"]["canet"]["configs"][1].pop("sha256") == file_digest(repository / CPU_CONFIG)
    del before["graphs"]["canet"]["configs"][1]["sha256"]
    assert after == before
    assert set(repository.rglob("*")) == set(files), "nothing else was left there"


def test_seal_when_nothing_was_tuned_then_the_manifest_is_not_written(repository: Path) -> None:
    before = (repository / MANIFEST).read_bytes()

    assert seal_configs(repository) == []

    assert (repository / MANIFEST).read_bytes() == before


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (CONFIG, "dims: [64]", "dims: [65]", "`input`"),
        (CONFIG, "max_batch_size: 32", "max_batch_size: 64", "`max_batch_size` is 64"),
        (CPU_CONFIG, "KIND_CPU", "KIND_GPU", "`instance_group.kind`"),
        (CPU_CONFIG, "preferred_batch_size: [1]", "preferred_batch_size: [33]", "preferred_batch_size` 33"),
        (CPU_CONFIG, "count: 1", "count: one", "one"),
        ("xmdpt/config.pbtxt", 'model_name: "canet"', 'model_name: "canet2"', "'canet2', which is not in the"),
        ("xmdpt/configs/cpu.pbtxt", "max_batch_size: 8", "max_batch_size: 9", "its steps take 1 to 8 rows"),
    ],
)
def test_seal_when_a_config_is_mistaken_then_refused_and_the_manifest_stays(
    repository: Path, path: str, old: str, new: str, words: str
) -> None:
    before = (repository / MANIFEST).read_bytes()
    replace_text(path, old, new, repository)

    with pytest.raises(RepositoryError) as error:
        seal_configs(repository)

    assert str(error.value).startswith(f"{repository / path}: ")
    assert words in str(error.value)
    assert (repository / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("path", ["canet/1/model.onnx", "source_encoder/1/model.onnx"])
def test_seal_when_a_graph_is_not_the_manifests_then_refused(repository: Path, path: str) -> None:
    tune(repository)
    (repository / path).write_bytes((repository / "pose_encoder/1/model.onnx").read_bytes())

    with pytest.raises(RepositoryError, match=f"{path}: its SHA-256 is"):
        seal_configs(repository)


@pytest.mark.parametrize("path", [CONFIG, CPU_CONFIG, "xmdpt/configs/cpu.pbtxt"])
def test_seal_when_a_config_is_gone_then_refused(repository: Path, path: str) -> None:
    (repository / path).unlink()

    with pytest.raises(RepositoryError, match=f"{path}: No such file"):
        seal_configs(repository)


def test_command_when_a_config_was_tuned_then_0_and_its_name(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(repository)

    assert main(["seal", "--repository", str(repository)]) == 0
    assert capsys.readouterr().out == f"{repository / CPU_CONFIG}: sealed\n"
    assert main(["seal", "--repository", str(repository)]) == 0
    assert "nothing to seal" in capsys.readouterr().out


def test_command_when_a_config_is_mistaken_then_1_and_its_line(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_text(CONFIG, "KIND_GPU", "KIND_CPU", repository)

    assert main(["seal", "--repository", str(repository)]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"FAILED {repository / CONFIG}: `instance_group.kind`")


def test_command_when_the_manifest_cannot_be_written_then_2(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(repository)
    # In the way of the new manifest, also for root.
    (repository / f".{MANIFEST}").mkdir()

    assert main(["seal", "--repository", str(repository)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("seal a copy of the repository")
