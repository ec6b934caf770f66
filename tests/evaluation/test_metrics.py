"""SSIM and PSNR of pictures whose figures can be worked out by hand."""

import math

import numpy as np
import pytest

from xmdpt.evaluation.metrics import at_protocol_size, psnr, ssim, ssim_window_51


def flat(level: int) -> np.ndarray:
    return np.full((256, 176, 3), level, np.uint8)


def one_window(a: np.ndarray, b: np.ndarray, weights: np.ndarray, correction: float = 1.0) -> float:
    """Wang et al. 2004, eq. 13, of one window, averaged over the channels; `correction` makes sample variances."""

    def mean(values: np.ndarray) -> np.ndarray:
        return (values * weights).sum(axis=(0, 1))

    a, b = a.astype(float), b.astype(float)
    c1, c2 = 2.55**2, 7.65**2
    brightness = (2 * mean(a) * mean(b) + c1) / (mean(a) ** 2 + mean(b) ** 2 + c1)
    covariance, variances = mean(a * b) - mean(a) * mean(b), mean(a * a + b * b) - mean(a) ** 2 - mean(b) ** 2
    return float((brightness * (2 * correction * covariance + c2) / (correction * variances + c2)).mean())


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (256, 176, 3), np.uint8)


@pytest.mark.parametrize("metric", [ssim, ssim_window_51])
def test_ssim_when_the_pictures_are_equal_then_1(metric, noise: np.ndarray) -> None:
    assert metric(noise, noise) == pytest.approx(1)


@pytest.mark.parametrize("metric", [ssim, ssim_window_51])
def test_ssim_when_the_pictures_are_flat_then_the_formula_of_their_levels(metric) -> None:
    # Without any variance only the brightness term is left: (2ab + c) / (a^2 + b^2 + c), c = (0.01 * 255)^2.
    c = 2.55**2
    assert metric(flat(100), flat(150)) == pytest.approx((2 * 100 * 150 + c) / (100**2 + 150**2 + c), abs=1e-6)


def test_ssim_when_one_window_fits_then_its_formula_with_gaussian_weights(noise: np.ndarray) -> None:
    # Sigma 1.5, cut off at 3.5 sigma: 11 x 11 places, and in pictures of that size one window alone.
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line)[..., None] / line.sum() ** 2
    a, b = noise[:11, :11], noise[20:31, 20:31]

    assert ssim(a, b) == pytest.approx(one_window(a, b, weights), abs=1e-5)


def test_ssim_window_51_when_one_window_fits_then_its_formula_with_equal_weights(noise: np.ndarray) -> None:
    a, b = noise[:51, :51], noise[60:111, 60:111]

    expected = one_window(a, b, np.full((51, 51, 1), 1 / 51**2), correction=51**2 / (51**2 - 1))
    assert ssim_window_51(a, b) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("metric", [ssim, ssim_window_51])
def test_ssim_when_contrast_is_turned_round_then_below_0(metric, noise: np.ndarray) -> None:
    assert metric(255 - noise, noise) < 0


def test_psnr_when_every_value_is_off_by_one_then_48_db() -> None:
    assert psnr(flat(100), flat(101)) == pytest.approx(20 * math.log10(255))


def test_psnr_when_black_and_white_then_0() -> None:
    assert psnr(flat(0), flat(255)) == 0


def test_psnr_when_equal_then_infinite(noise: np.ndarray) -> None:
    assert psnr(noise, noise) == math.inf


def test_protocol_size_when_a_ramp_is_resized_then_still_the_ramp() -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))

    small = at_protocol_size(np.ascontiguousarray(ramp))

    # The centre of column i lies at (i + 0.5) * 256 / 176 - 0.5 in the square; bilinear is exact on a ramp.
    assert small.shape == (256, 176, 3)
    assert np.abs(small[0, :, 0] - ((np.arange(176) + 0.5) * 256 / 176 - 0.5)).max() <= 0.51
