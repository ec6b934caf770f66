"""One seed is one person, seen in several poses, with key points and materials that fit the picture."""

import numpy as np
import pytest
from numpy.typing import NDArray

from xmdpt.persons.body import load_body
from xmdpt.persons.domain import DEMO, VARIED, Domain
from xmdpt.persons.layers import Material
from xmdpt.persons.render import Pair, View, render_pair

NUM_FRAME_PX = 1
# Shoulders, elbows, hips, knees, ankles: joints well inside the body.
JOINTS = [2, 3, 5, 6, 8, 9, 10, 11, 12, 13]
FACE = [0, 14, 15, 16, 17]


def is_person(view: View) -> NDArray[np.bool_]:
    return view.materials != Material.BACKGROUND


def is_same(first: View, second: View) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("picture", "key_points", "visible", "materials")
    )


@pytest.mark.parametrize("domain", [DEMO, VARIED])
def test_render_when_the_seed_is_the_same_then_everything_is(domain: Domain) -> None:
    first, second = (render_pair(7, domain, "held_out") for _ in range(2))
    assert first.person == second.person
    assert all(map(is_same, first.views, second.views))


def test_render_when_more_views_are_asked_for_then_the_first_ones_stay() -> None:
    two, three = render_pair(3, num_views=2), render_pair(3, num_views=3)
    assert len(three.views) == 3
    assert all(is_same(a, b) for a, b in zip(two.views, three.views, strict=False))


def test_render_when_rendered_then_types_and_shapes_are_as_promised(demo_pairs: list[Pair]) -> None:
    for view in demo_pairs[0].views:
        assert (view.picture.shape, view.picture.dtype) == ((256, 256, 3), np.uint8)
        assert (view.key_points.shape, view.key_points.dtype) == ((18, 2), np.float32)
        assert (view.visible.shape, view.visible.dtype) == ((18,), np.bool_)
        assert (view.materials.shape, view.materials.dtype) == ((256, 256), np.uint8)


@pytest.mark.parametrize(("seed", "split", "num_views"), [(-1, "train", 2), (0, "test", 2), (0, "train", 0)])
def test_render_when_an_argument_is_senseless_then_refused(seed: int, split: str, num_views: int) -> None:
    with pytest.raises(ValueError, match="no seed"):
        render_pair(seed, DEMO, split, num_views)  # type: ignore[arg-type]


def test_splits_when_compared_then_no_identity_and_no_clothes_in_common() -> None:
    body = load_body()
    train, held_out = (set(body.identities_of(split).tolist()) for split in ("train", "held_out"))
    assert not train & held_out
    assert train | held_out == set(range(len(body.identities)))
    assert 6 <= len(body.identities) / len(held_out) <= 10
    for seed in range(5):
        ours, theirs = (render_pair(seed, DEMO, split, 1).person for split in ("train", "held_out"))
        assert ours.identity in train
        assert theirs.identity in held_out
        assert ours.appearance != theirs.appearance


def test_key_points_when_visible_then_on_the_person(demo_pairs: list[Pair], varied_pairs: list[Pair]) -> None:
    for view in (view for pair in demo_pairs + varied_pairs for view in pair.views):
        silhouette = np.pad(is_person(view), 3)
        for x, y in view.key_points[JOINTS][view.visible[JOINTS]].astype(int):
            assert silhouette[y : y + 7, x : x + 7].any()
        assert (view.key_points[~view.visible] == -1).all()
        seen = view.key_points[view.visible]
        assert ((seen >= 0) & (seen < 256)).all()


def test_key_points_when_seen_from_behind_then_hardly_a_nose(demo_pairs: list[Pair]) -> None:
    views = [view for pair in demo_pairs for view in pair.views]
    # From behind, the right shoulder is right of the left one.
    behind = [view for view in views if view.key_points[2, 0] > view.key_points[5, 0] + 30]
    before = [view for view in views if view.key_points[5, 0] > view.key_points[2, 0] + 30]
    assert behind
    assert before
    # Few look over their shoulder.
    assert sum(view.visible[0] for view in behind) < 0.2 * len(behind)
    assert sum(view.visible[0] for view in before) > 0.9 * len(before)


def test_demo_when_framed_then_whole_and_large(demo_pairs: list[Pair]) -> None:
    for view in (view for pair in demo_pairs for view in pair.views):
        inner = is_person(view)[NUM_FRAME_PX:-NUM_FRAME_PX, NUM_FRAME_PX:-NUM_FRAME_PX]
        assert inner.sum() == is_person(view).sum()
        assert view.visible[JOINTS].all()
        rows, columns = (np.flatnonzero(is_person(view).any(axis=axis)) for axis in (1, 0))
        height, width = np.ptp(rows) / 256, np.ptp(columns) / 256
        assert 0.80 <= height <= 0.95 or width > 0.9


def test_demo_when_many_are_seen_then_most_show_their_face(demo_pairs: list[Pair]) -> None:
    faces = [view.visible[FACE[:3]].all() for pair in demo_pairs for view in pair.views]
    assert 0.5 < np.mean(faces) < 0.9


def test_views_when_of_one_person_then_clothes_have_the_same_colours(demo_pairs: list[Pair]) -> None:
    for pair in demo_pairs:
        materials = {Material.TROUSERS, Material.SHOES, Material.SKIRT}
        for material in materials:
            colours = [view.picture[view.materials == material] for view in pair.views]
            if min(map(len, colours)) < 100:
                continue
            first, second = (colour.mean(axis=0) / (colour.mean() + 20) for colour in colours)
            # Light makes colours brighter or darker, not other colours.
            assert np.abs(first - second).max() < 0.15


def test_views_when_of_one_person_then_background_is_the_same_and_poses_differ(demo_pairs: list[Pair]) -> None:
    for pair in demo_pairs:
        first, second = pair.views
        is_empty = ~is_person(first) & ~is_person(second)
        # A corner never shows the person, and edges of it blend.
        assert np.array_equal(first.picture[0, :4], second.picture[0, :4])
        assert (first.picture[is_empty] == second.picture[is_empty]).all(axis=1).mean() > 0.9
        assert np.abs(first.key_points - second.key_points).max() > 3


def test_materials_when_many_persons_are_seen_then_each_occurs(
    demo_pairs: list[Pair], varied_pairs: list[Pair]
) -> None:
    for pairs in (demo_pairs, varied_pairs):
        found = {int(material) for pair in pairs for view in pair.views for material in np.unique(view.materials)}
        assert found == set(Material)
