"""A few held-out pairs and the judges, loaded once."""

import pytest

from xmdpt.pose_estimation import PoseEstimator
from xmdpt.quality.features import FeatureExtractor
from xmdpt.quality.held_out import HeldOutPairs, held_out_pairs
from xmdpt.quality.scoring import Judges


@pytest.fixture(scope="session")
def pairs() -> HeldOutPairs:
    """The first three; not to be changed."""
    return held_out_pairs(range(3))


@pytest.fixture(scope="session")
def extractor() -> FeatureExtractor:
    return FeatureExtractor()


@pytest.fixture(scope="session")
def judges(extractor: FeatureExtractor) -> Judges:
    return Judges(extractor, PoseEstimator())
