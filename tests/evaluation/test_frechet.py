"""The Frechet distance of distributions where it is known, and against the textbook's matrix root."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from xmdpt.evaluation.frechet import Statistics, frechet_distance


def gaussian(seed: int, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(seed).standard_normal((40, width)) * np.arange(1, width + 1) + seed
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


def test_frechet_when_in_one_dimension_then_means_and_deviations_apart() -> None:
    # N(0, 1) and N(3, 4): (3 - 0)^2 + (2 - 1)^2.
    assert frechet_distance(np.zeros(1), np.eye(1), np.full(1, 3.0), np.full((1, 1), 4.0)) == pytest.approx(10)


def test_frechet_when_the_axes_differ_then_the_sum_over_them() -> None:
    a, b = np.diag([1.0, 9.0, 0.0]), np.diag([4.0, 4.0, 25.0])
    # (1-2)^2 + (3-2)^2 + (0-5)^2, and 1 + 4 of the means.
    assert frechet_distance(np.zeros(3), a, np.array([1.0, 0, 2]), b) == pytest.approx(27 + 5)


def test_frechet_when_the_covariances_do_not_commute_then_the_matrix_roots_trace() -> None:
    (mean_a, a), (mean_b, b) = gaussian(1), gaussian(2)
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))

    assert frechet_distance(mean_a, a, mean_b, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_when_turned_round_then_the_same() -> None:
    assert frechet_distance(*gaussian(1), *gaussian(2)) == pytest.approx(frechet_distance(*gaussian(2), *gaussian(1)))


def test_frechet_when_equal_then_0() -> None:
    assert frechet_distance(*gaussian(3), *gaussian(3)) == pytest.approx(0, abs=1e-9)


def test_frechet_when_there_are_fewer_vectors_than_axes_then_still_a_number() -> None:
    few, others = Statistics(), Statistics()
    few.add(np.random.default_rng(0).standard_normal((3, 50)))
    others.add(np.random.default_rng(1).standard_normal((4, 50)))

    assert frechet_distance(few.mean(), few.covariance(), others.mean(), others.covariance()) > 0


def test_statistics_when_added_in_parts_then_those_of_the_whole() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32) + 7
    statistics = Statistics()
    for part in np.array_split(rows, 7):
        statistics.add(part)

    assert statistics.count == 50
    assert statistics.mean() == pytest.approx(rows.mean(axis=0), rel=1e-6)
    assert statistics.covariance() == pytest.approx(np.cov(rows, rowvar=False), rel=1e-5)


def test_statistics_when_of_one_vector_then_no_covariance() -> None:
    statistics = Statistics()
    statistics.add(np.ones((1, 3)))

    assert not statistics.covariance().any()
