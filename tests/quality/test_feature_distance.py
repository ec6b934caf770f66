"""The feature distance: its network knows what it sees, and its numbers are cosines."""

import math

import cv2
import numpy as np
import pytest
import torch
from skimage.data import chelsea

from xmdpt.evaluation.mistakes import InputError
from xmdpt.nn.weight_files import read_state
from xmdpt.quality import features
from xmdpt.quality.efficientnet import EfficientNetLite0
from xmdpt.quality.features import FeatureExtractor, distance_matrix, distances
from xmdpt.quality.held_out import HeldOutPairs

# Classes of ImageNet: tabby, tiger cat, Egyptian cat.
CATS = {281, 282, 285}


def unit(*numbers: float) -> torch.Tensor:
    """A picture of one cell."""
    return torch.tensor(numbers)[None, :, None, None] / math.hypot(*numbers)


def test_network_when_its_classifier_is_put_back_then_it_knows_a_cat() -> None:
    state = read_state(features._weights_path())
    network = EfficientNetLite0().eval()
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    cat = cv2.resize(chelsea()[:, 75:375], (224, 224), interpolation=cv2.INTER_AREA)

    with torch.inference_mode():
        x = (torch.from_numpy(cat).permute(2, 0, 1)[None].float() - 127) / 128
        *_, last = network(x)
        x = torch.nn.functional.conv2d(last, state["_conv_head.weight"])
        norm = [state[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        x = torch.nn.functional.batch_norm(x, *norm, eps=1e-3).clamp(0, 6).mean(dim=(2, 3))
        scores = (x @ state["_fc.weight"].T + state["_fc.bias"])[0]

    assert set(scores.topk(3).indices.tolist()) == CATS


def test_features_when_taken_then_four_grids_of_unit_vectors(extractor: FeatureExtractor, pairs: HeldOutPairs) -> None:
    found = extractor.features(pairs.sources)

    assert [tuple(f.shape) for f in found] == [(3, 24, 64, 64), (3, 40, 32, 32), (3, 112, 16, 16), (3, 320, 8, 8)]
    for depth in found:
        assert torch.allclose(depth.norm(dim=1), torch.ones(()), atol=1e-5)


def test_distances_when_cells_are_known_then_one_minus_the_mean_cosine_of_the_depths() -> None:
    one, other = [unit(1, 0), unit(3, 4)], [unit(0, 1), unit(3, 4)]

    # Right angles at the first depth, equal at the second.
    assert distances(one, other) == pytest.approx([0.5])
    assert distances(one, one) == pytest.approx([0])
    assert distances([unit(1, 2)], [unit(-1, -2)]) == pytest.approx([2])


def test_matrix_when_pictures_are_compared_then_its_diagonal_are_the_distances(
    extractor: FeatureExtractor, pairs: HeldOutPairs
) -> None:
    sources, truths = extractor.features(pairs.sources), extractor.features(pairs.truths.pictures)

    matrix = distance_matrix(sources, truths)

    assert np.diag(matrix) == pytest.approx(distances(sources, truths), abs=1e-6)
    assert np.allclose(matrix.T, distance_matrix(truths, sources), atol=1e-6)


def test_distance_when_a_picture_is_blurred_more_then_larger(extractor: FeatureExtractor, pairs: HeldOutPairs) -> None:
    truth = pairs.truths.pictures[0]
    blurred = np.stack([truth, *(cv2.GaussianBlur(truth, (0, 0), sigma) for sigma in (1, 2, 4))])

    found = distances(extractor.features(blurred), extractor.features(np.stack([truth] * 4)))

    assert found[0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(found) > 0.02).all()


def test_extractor_when_the_package_is_not_installed_then_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "_PACKAGE", "no_such_package")

    with pytest.raises(InputError, match=r"no-such-package.*pip install"):
        FeatureExtractor()
