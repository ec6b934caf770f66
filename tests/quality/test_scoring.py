"""Planted mistakes: each figure sees the one that it is for, and none of the others."""

import math

import cv2
import numpy as np
import pytest

from xmdpt.persons.domain import DEMO
from xmdpt.persons.layers import Material
from xmdpt.persons.render import render_pair
from xmdpt.quality.figures import Figures
from xmdpt.quality.held_out import HeldOutPairs, truths_of
from xmdpt.quality.scoring import Judges, Scorer, score_pictures


@pytest.fixture(scope="module")
def scorer(pairs: HeldOutPairs, judges: Judges) -> Scorer:
    return Scorer(pairs.truths, judges)


@pytest.fixture(scope="module")
def of_truth(scorer: Scorer, pairs: HeldOutPairs) -> dict[str, float]:
    return scorer.score(pairs.truths.pictures).means()


def test_scores_when_the_pictures_are_the_truth_then_the_best_there_is(of_truth: dict[str, float]) -> None:
    assert of_truth["psnr"] == math.inf
    assert of_truth["ssim"] == pytest.approx(1)
    assert of_truth["silhouette_iou"] > 0.95
    assert of_truth["feature_distance"] == pytest.approx(0, abs=1e-6)
    assert of_truth["pck"] > 0.85
    assert of_truth["garment_colour_error"] == 0


def test_scores_when_the_person_is_shifted_then_silhouette_and_key_points_are_lost(
    scorer: Scorer, pairs: HeldOutPairs, of_truth: dict[str, float]
) -> None:
    found = scorer.score(np.roll(pairs.truths.pictures, 24, axis=2)).means()

    assert found["silhouette_iou"] < 0.7
    assert found["pck"] < of_truth["pck"] / 2
    assert found["feature_distance"] > 0.1


def test_scores_when_the_clothes_are_of_another_colour_then_only_the_colour_error_tells(
    scorer: Scorer, pairs: HeldOutPairs, of_truth: dict[str, float]
) -> None:
    truths = pairs.truths
    # A third of the way round the wheel: as bright, and as different from the background.
    recoloured = np.where(truths.garments[..., None], truths.pictures[..., [1, 2, 0]], truths.pictures)

    found = scorer.score(recoloured).means()

    assert found["garment_colour_error"] > 30
    assert found["silhouette_iou"] == pytest.approx(of_truth["silhouette_iou"], abs=0.03)
    assert found["pck"] == pytest.approx(of_truth["pck"], abs=0.1)


def test_scores_when_the_background_is_of_another_colour_then_the_person_is_still_found(
    scorer: Scorer, pairs: HeldOutPairs, of_truth: dict[str, float]
) -> None:
    truths = pairs.truths
    brighter = np.where(truths.silhouettes[..., None], truths.pictures, truths.pictures + np.uint8(20))

    found = scorer.score(brighter).means()

    assert found["psnr"] < 25
    assert found["garment_colour_error"] == 0
    assert found["silhouette_iou"] == pytest.approx(of_truth["silhouette_iou"], abs=0.03)


def test_scores_when_pictures_are_blurred_then_features_tell_more_than_silhouettes(
    scorer: Scorer, pairs: HeldOutPairs, of_truth: dict[str, float]
) -> None:
    blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in pairs.truths.pictures])

    found = scorer.score(blurred).means()

    assert found["feature_distance"] > 0.1
    assert found["silhouette_iou"] > 0.8
    assert found["garment_colour_error"] < 10


def test_scores_when_there_is_nobody_then_no_key_point_is_found(scorer: Scorer, pairs: HeldOutPairs) -> None:
    found = scorer.score(np.full_like(pairs.truths.pictures, 220))

    assert found.pck.tolist() == [0, 0, 0]
    assert found.silhouette_iou.tolist() == [0, 0, 0]


def test_scores_when_each_picture_is_its_own_then_the_order_is_kept(scorer: Scorer, pairs: HeldOutPairs) -> None:
    pictures = pairs.truths.pictures.copy()
    pictures[1] = 255 - pictures[1]

    found = scorer.score(pictures)

    assert np.isinf(found.psnr).tolist() == [True, False, True]
    assert (found.garment_colour_error > 10).tolist() == [False, True, False]
    assert (found.feature_distance > 0.1).tolist() == [False, True, False]


def test_score_pictures_when_judges_are_left_out_then_their_figures_are_missing(pairs: HeldOutPairs) -> None:
    figures = score_pictures(pairs.sources, pairs.truths, Judges())

    assert isinstance(figures, Figures)
    assert np.isnan(figures.pck).all()
    assert np.isnan(figures.feature_distance).all()
    assert np.isfinite(figures.psnr).all()


def test_truths_when_a_person_is_rendered_then_garments_are_what_it_wears(pairs: HeldOutPairs) -> None:
    view = render_pair(0, DEMO, "held_out").views[1]

    truths = truths_of([view])

    worn = np.isin(view.materials, [Material.TOP, Material.TROUSERS, Material.SKIRT, Material.SHOES])
    assert np.array_equal(truths.garments[0], worn)
    assert np.array_equal(truths.silhouettes[0], view.materials != Material.BACKGROUND)
    assert np.array_equal(truths.pictures[0], pairs.truths.pictures[0])
