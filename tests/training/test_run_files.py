"""The folder of a run: one description, one state, a log that fits it."""

import json
from pathlib import Path

import pytest
import torch

from xmdpt.evaluation.mistakes import InputError
from xmdpt.training.run_files import RunFolder


def test_a_new_folder_has_no_steps(tmp_path: Path) -> None:
    assert RunFolder(tmp_path / "new", {"a": 1}).load() == (0, {})


def test_another_description_is_refused_with_its_name(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"a": 1, "b": {"c": [1, 2]}})

    with pytest.raises(InputError, match=r"another b\.c \(\[1, 2\], not \[1, 3\]\)"):
        RunFolder(tmp_path, {"a": 1, "b": {"c": [1, 3]}})


def test_the_state_comes_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    folder.save(7, {"x": torch.arange(3.0), "step": torch.tensor(2.0)})

    num_steps, tensors = RunFolder(tmp_path, {}).load()

    assert num_steps == 7
    assert torch.equal(tensors["x"], torch.arange(3.0))


def test_lines_after_the_state_and_torn_ones_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    for step in (50, 100, 150):
        folder.log({"step": step, "loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 20')
    folder.save(100, {"x": torch.zeros(1)})

    folder.load()

    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [50, 100]


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    (tmp_path / "state.safetensors").write_bytes(b"half of it")

    with pytest.raises(InputError, match="is damaged"):
        folder.load()


def test_a_half_written_state_is_not_taken(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    folder.save(3, {"x": torch.zeros(1)})
    (tmp_path / "state.new").write_bytes(b"half")

    assert folder.load()[0] == 3
