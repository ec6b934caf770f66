"""Inception and LPIPS in the true layouts with weights by a rule: others' figures, symmetry, strict files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from xmdpt.evaluation.frechet import Statistics, frechet_distance
from xmdpt.evaluation.inception import Inception, InceptionFeatures
from xmdpt.evaluation.lpips import Lpips, LpipsDistance
from xmdpt.evaluation.mistakes import InputError

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Coarse noise: four pictures of 32 x 22 squares."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 32, 22, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def inception(inception_file: Path) -> InceptionFeatures:
    return InceptionFeatures(inception_file)


@pytest.fixture(scope="module")
def lpips(lpips_files: tuple[Path, Path]) -> LpipsDistance:
    return LpipsDistance(lpips_files)


def test_inception_when_built_then_torchvisions_layout() -> None:
    network = Inception()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}

    # torchvision states 27,161,264 parameters; the classifier has 2,049,000 of them, the side head 3,326,696.
    assert sum(parameter.numel() for parameter in network.parameters()) == 27_161_264 - 2_049_000 - 3_326_696
    assert shapes["Conv2d_4a_3x3.conv.weight"] == (192, 80, 3, 3)
    assert shapes["Mixed_5d.branch_pool.conv.weight"] == (64, 288, 1, 1)
    assert shapes["Mixed_6b.branch7x7dbl_5.conv.weight"] == (192, 128, 1, 7)
    assert shapes["Mixed_7a.branch7x7x3_4.bn.running_var"] == (192,)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)


def test_inception_when_weights_follow_the_rule_then_torchvisions_features(
    inception: InceptionFeatures, pictures: np.ndarray
) -> None:
    features = inception(pictures[:2])

    # By torchvision 0.29.1 with the same weights, pictures stretched and shifted as CFLD's script does.
    assert features.shape == (2, 2048)
    assert features.mean() == pytest.approx(0.44878757, rel=1e-4)
    places = [0, 320, 1088, 1500, 2047]
    assert features[0, places] == pytest.approx([1.8746848, 0.5508656, 0.0223180, 0.5124583, 0], rel=1e-4, abs=1e-6)
    assert features[1, places] == pytest.approx([1.8874602, 0.5297710, 0.0207403, 0.5076163, 0], rel=1e-4, abs=1e-6)


def test_fid_when_the_sets_are_equal_then_0_and_symmetric_otherwise(
    inception: InceptionFeatures, pictures: np.ndarray
) -> None:
    def statistics(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = Statistics()
        found.add(inception(batch)[:, :64])
        return found.mean(), found.covariance()

    a, b = statistics(pictures), statistics(pictures // 2)

    assert frechet_distance(*a, *a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(*a, *b) == pytest.approx(frechet_distance(*b, *a))
    assert frechet_distance(*a, *b) > 0


def test_lpips_when_built_then_the_layouts_of_alexnet_and_lpips() -> None:
    network = Lpips()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}

    assert shapes["features.0.weight"] == (64, 3, 11, 11)
    assert shapes["features.10.weight"] == (256, 256, 3, 3)
    assert [shapes[f"lin{place}.model.1.weight"][1] for place in range(5)] == [64, 192, 384, 256, 256]
    assert len(shapes) == 15


def test_lpips_when_the_pictures_are_equal_then_0(lpips: LpipsDistance, pictures: np.ndarray) -> None:
    assert lpips(pictures, pictures).tolist() == [0] * 4


def test_lpips_when_weights_follow_the_rule_then_the_packages_distances(
    lpips: LpipsDistance, pictures: np.ndarray
) -> None:
    # By lpips 0.1.4 with the same weights.
    assert lpips(pictures[:2], pictures[2:]) == pytest.approx([1.7075133, 1.6880310], rel=1e-4)
    assert lpips(pictures[2:], pictures[:2]) == pytest.approx([1.7075133, 1.6880310], rel=1e-4)


def test_lpips_when_opposite_on_every_compared_layer_then_the_sum_of_the_weights() -> None:
    network = Lpips().requires_grad_(False)
    for name, tensor in network.state_dict().items():
        tensor.fill_(1.0 if name.startswith("lin0") else 0.0)
    # Channel 0 answers to red above the shift, channel 1 to red below it, so unit vectors are (1, 0) or (0, 1).
    network.state_dict()["features.0.weight"][0, 0, 5, 5] = 1
    network.state_dict()["features.0.weight"][1, 0, 5, 5] = -1
    white, black = torch.ones(1, 3, 64, 64), -torch.ones(1, 3, 64, 64)

    # |(1, 0) - (0, 1)| squared and weighed with ones: 1 + 1 at every place.
    assert network(white, black).tolist() == pytest.approx([2.0])


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_when_in_one_file_of_either_format_then_the_same(
    lpips_state: State, lpips: LpipsDistance, pictures: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"weights.{suffix}"
    torch.save(lpips_state, path) if suffix == "pth" else save_file(lpips_state, path)
    small = pictures[:, :64, :64].copy()

    assert np.array_equal(LpipsDistance([path])(small[:2], small[2:]), lpips(small[:2], small[2:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda state: state.pop("Mixed_6e.branch7x7_2.bn.running_mean"),
            "missing Mixed_6e.branch7x7_2.bn.running_mean",
        ),
        (lambda state: state.update({"Mixed_8a.conv.weight": torch.ones(1)}), "unexpected Mixed_8a.conv.weight"),
        (lambda state: state.update({"Conv2d_1a_3x3.bn.bias": torch.ones(31)}), "Conv2d_1a_3x3.bn.bias has shape [31]"),
        (lambda state: state["Conv2d_2b_3x3.bn.bias"].fill_(float("nan")), "Conv2d_2b_3x3.bn.bias holds"),
    ],
    ids=["missing", "unexpected", "misshaped", "not finite"],
)
def test_inception_when_a_key_is_wrong_then_it_is_named(
    inception_state: State, tmp_path: Path, change: Callable[[State], object], words: str
) -> None:
    state = {name: tensor.clone() for name, tensor in inception_state.items()}
    change(state)
    save_file(state, tmp_path / "inception.safetensors")

    with pytest.raises(InputError) as refused:
        InceptionFeatures(tmp_path / "inception.safetensors")

    assert words in str(refused.value)
    assert str(tmp_path / "inception.safetensors") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_lpips_when_the_lin_layers_are_not_given_then_the_first_is_named(lpips_files: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"missing lin0\.model\.1\.weight"):
        LpipsDistance(lpips_files[:1])


@pytest.mark.parametrize("content", [None, b"", b"rubbish" * 100], ids=["missing", "empty", "rubbish"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_when_the_file_is_none_then_its_name_in_one_line(
    tmp_path: Path, content: bytes | None, suffix: str
) -> None:
    path = tmp_path / f"weights.{suffix}"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError) as refused:
        LpipsDistance([path])

    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_weights_when_a_pickle_would_run_code_then_it_does_not(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "trapped",)

    torch.save({"features.0.weight": Trap()}, tmp_path / "weights.pth")

    with pytest.raises(InputError):
        LpipsDistance([tmp_path / "weights.pth"])
    assert not (tmp_path / "trapped").exists()
