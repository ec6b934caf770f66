"""Silhouettes found in drawn pictures whose person is known."""

import numpy as np
import pytest

from xmdpt.quality.held_out import HeldOutPairs
from xmdpt.quality.silhouette import find_silhouette, intersection_over_union

SIDE = 256


def background(rng: np.random.Generator | None = None, spread: float = 0) -> np.ndarray:
    """Light grey that runs darker downwards and redder to the right."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    picture = np.stack([220 - 20 * y + 8 * x, 218 - 20 * y, 222 - 20 * y], axis=2)
    return picture + (rng.normal(0, spread, picture.shape) if rng else 0)


def person() -> np.ndarray:
    """A disc on a bar, whose arm leaves the picture on the left."""
    y, x = np.mgrid[:SIDE, :SIDE]
    head = (x - 128) ** 2 + (y - 60) ** 2 <= 30**2
    body = (abs(x - 128) < 25) & (y >= 80)
    arm = (x < 128) & (abs(y - 110) < 8)
    return head | body | arm


def drawn(mask: np.ndarray, around: np.ndarray, colour: tuple[int, int, int] = (60, 90, 40)) -> np.ndarray:
    return np.clip(np.where(mask[..., None], colour, around), 0, 255).astype(np.uint8)


def test_silhouette_when_the_background_runs_between_colours_then_the_person_alone() -> None:
    assert np.array_equal(find_silhouette(drawn(person(), background())), person())


def test_silhouette_when_the_background_is_noisy_then_nearly_the_person() -> None:
    picture = drawn(person(), background(np.random.default_rng(0), spread=4))

    assert intersection_over_union(find_silhouette(picture), person()) > 0.98


def test_silhouette_when_a_speck_lies_beside_the_person_then_it_is_left_out() -> None:
    speck = np.zeros((SIDE, SIDE), bool)
    speck[200:205, 40:45] = True

    assert np.array_equal(find_silhouette(drawn(person() | speck, background())), person())


def test_silhouette_when_the_clothes_have_the_backgrounds_colour_then_they_are_missed() -> None:
    clothes = person() & (np.mgrid[:SIDE, :SIDE][0] > 200)
    picture = drawn(person() & ~clothes, background())

    assert np.array_equal(find_silhouette(picture), person() & ~clothes)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_silhouette_when_there_is_nobody_then_empty(level: int) -> None:
    assert not find_silhouette(np.full((SIDE, SIDE, 3), level, np.uint8)).any()


def test_silhouette_when_true_pictures_are_looked_at_then_nearly_the_renderers(pairs: HeldOutPairs) -> None:
    truths = pairs.truths
    found = [
        intersection_over_union(find_silhouette(picture), mask)
        for picture, mask in zip(truths.pictures, truths.silhouettes, strict=True)
    ]

    assert min(found) > 0.95


def test_iou_when_masks_overlap_by_half_then_a_third() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:, :2], b[:, 1:3] = True, True

    assert intersection_over_union(a, b) == pytest.approx(1 / 3)
    assert intersection_over_union(a, ~a) == 0
    assert intersection_over_union(a, a) == 1


def test_iou_when_both_are_empty_then_1() -> None:
    assert intersection_over_union(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 1
