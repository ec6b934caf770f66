"""Nearest truths of distances made by hand, and of pictures."""

import numpy as np

from xmdpt.quality.features import FeatureExtractor
from xmdpt.quality.held_out import HeldOutPairs
from xmdpt.quality.nearest import NearestTruths, nearest_truths


def test_nearest_when_one_picture_is_nearer_to_another_truth_then_two_of_three() -> None:
    found = NearestTruths(np.array([[0.1, 0.2, 0.3], [0.5, 0.6, 0.4], [0.9, 0.8, 0.7]]))

    assert found.nearest == [0, 2, 2]
    assert found.ranks == [1, 3, 1]
    assert found.num_own == 2


def test_nearest_when_pictures_are_the_truths_in_another_order_then_it_tells_which(
    extractor: FeatureExtractor, pairs: HeldOutPairs
) -> None:
    truths = pairs.truths.pictures

    assert nearest_truths(truths[[1, 0, 2]], truths, extractor).nearest == [1, 0, 2]
