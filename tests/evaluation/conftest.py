"""Small data sets, and weights of the true layouts by a rule."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.evaluation.command import arguments
from tests.evaluation.rule_weights import rule_weights
from tests.evaluation.small_data import write_folder, write_lmdb
from xmdpt.evaluation.inception import Inception
from xmdpt.evaluation.lpips import Lpips
from xmdpt.training.__main__ import main

OLD_FILES_LACK = "Conv2d_1a_3x3.bn.num_batches_tracked"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs over a folder of photos, with poses.jsonl and poses.csv; not to be changed."""
    return write_folder(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="session")
def pidm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pairs in PIDM's layout; not to be changed."""
    return write_lmdb(tmp_path_factory.mktemp("pidm"))


@pytest.fixture(scope="session")
def inception_state() -> dict[str, torch.Tensor]:
    """Weights in torchvision's layout, with heads that FID does not use and without a count of batches."""
    state = {name: tensor for name, tensor in rule_weights(Inception()).items() if name != OLD_FILES_LACK}
    return state | {"AuxLogits.fc.bias": torch.zeros(1000), "fc.weight": torch.zeros(1000, 2048)}


@pytest.fixture(scope="session")
def inception_file(inception_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """They as a safetensors file."""
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    save_file(inception_state, path)
    return path


@pytest.fixture(scope="session")
def lpips_state() -> dict[str, torch.Tensor]:
    """Weights in the layouts of torchvision's alexnet and of the package lpips."""
    return rule_weights(Lpips()) | {"classifier.6.bias": torch.zeros(1000)}


@pytest.fixture(scope="session")
def lpips_files(lpips_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """They as two files: AlexNet of torch.save, lin layers of safetensors."""
    root = tmp_path_factory.mktemp("weights")
    torch.save({name: t for name, t in lpips_state.items() if not name.startswith("lin")}, root / "alexnet.pth")
    save_file({name: t for name, t in lpips_state.items() if name.startswith("lin")}, root / "lin.safetensors")
    return root / "alexnet.pth", root / "lin.safetensors"


@pytest.fixture(scope="session")
def evaluated(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over the folder; not to be changed."""
    out = tmp_path_factory.mktemp("out")
    assert main(arguments(folder, out, "--key-points", str(folder / "poses.csv"))) == 0
    return out
