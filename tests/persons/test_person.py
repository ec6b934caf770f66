"""What is drawn of a person by chance: clothes that fit together, rotations that are rotations, body data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmdpt.persons.appearance import Appearance, Logo, Pattern
from xmdpt.persons.body import NUM_INFLUENCES, TRIANGLE_GROUPS, load_body
from xmdpt.persons.chance import choose
from xmdpt.persons.domain import DEMO, VARIED
from xmdpt.persons.pose import bone_transforms, sample_joints
from xmdpt.persons.reduce import reduce_body, spread_identities
from xmdpt.persons.rotations import aim, rotation
from xmdpt.persons.wardrobe import sample_appearance

seeds = st.integers(0, 2**63)
directions = st.tuples(*[st.floats(-1, 1)] * 3).map(np.array).filter(lambda v: np.linalg.norm(v) > 0.1)


def a_look(seed: int, *, is_feminine: bool = True, domain=DEMO) -> Appearance:
    return sample_appearance(np.random.default_rng(seed), domain.wardrobe, is_feminine=is_feminine)


@given(seeds, st.booleans())
def test_demo_clothes_when_drawn_then_colours_that_meet_differ(seed: int, is_feminine: bool) -> None:
    look = a_look(seed, is_feminine=is_feminine)
    is_dress = look.bottom == look.top
    assert is_dress or math.dist(look.top, look.bottom) >= 0.25
    assert math.dist(look.top, look.top_accent) >= 0.25
    assert not is_dress or look.wears_skirt


@given(seeds, st.booleans(), st.sampled_from([DEMO, VARIED]))
def test_clothes_when_drawn_then_all_colours_are_colours_and_somebody_is_dressed(seed, is_feminine, domain) -> None:
    look = a_look(seed, is_feminine=is_feminine, domain=domain)
    colours = [look.skin, look.hair, look.lips, look.top, look.top_accent, look.bottom, look.bottom_accent, look.shoes]
    assert all(0 <= value <= 1.05 for colour in colours for value in colour)
    assert look.wears_trousers or look.wears_skirt
    assert is_feminine or not look.wears_skirt


def test_clothes_when_many_are_drawn_then_each_pattern_and_logo_occurs() -> None:
    looks = [a_look(seed, domain=VARIED) for seed in range(400)]
    assert {look.top_pattern for look in looks} == set(Pattern)
    assert {look.logo for look in looks} == set(Logo)
    assert {look.top_pattern for look in map(a_look, range(200))} == {
        Pattern.PLAIN, Pattern.BLOCK, Pattern.SLEEVES, Pattern.HORIZONTAL_STRIPES,
    }  # fmt: skip


def test_choice_when_drawn_often_then_by_its_shares() -> None:
    rng = np.random.default_rng(0)
    drawn = [choose(rng, (("a", 3), ("b", 1), ("never", 0))) for _ in range(2000)]
    assert drawn.count("a") / 2000 == pytest.approx(0.75, abs=0.03)
    assert "never" not in drawn


@given(directions, directions)
def test_aim_when_applied_then_points_there_and_is_a_rotation(start: np.ndarray, end: np.ndarray) -> None:
    turned = aim(start, end)
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)
    if np.linalg.norm(np.cross(start, end)) > 1e-6:
        np.testing.assert_allclose(turned @ start / np.linalg.norm(start), end / np.linalg.norm(end), atol=1e-6)


def test_rotation_when_a_quarter_about_z_then_x_becomes_y() -> None:
    np.testing.assert_allclose(rotation((0, 0, 1), 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@given(seeds, st.sampled_from([DEMO, VARIED]))
def test_pose_when_drawn_then_bones_keep_their_lengths_and_joints_hold(seed, domain) -> None:
    body = load_body()
    heads = body.heads[seed % len(body.heads)]
    transforms = bone_transforms(body, heads, sample_joints(np.random.default_rng(seed), body, heads, domain.poses))
    np.testing.assert_allclose(np.linalg.det(transforms[:, :, :3]), 1, atol=1e-9)
    moved = np.einsum("bij,bj->bi", transforms[:, :, :3], heads) + transforms[:, :, 3]
    parents = np.array(body.parents[1:])
    by_parent = np.einsum("bij,bj->bi", transforms[parents, :, :3], heads[1:]) + transforms[parents, :, 3]
    np.testing.assert_allclose(moved[1:], by_parent, atol=1e-9)


def test_body_when_loaded_then_weights_sum_to_one_and_indices_fit() -> None:
    body = load_body()
    skinned = body.surface.skinned
    np.testing.assert_allclose(skinned.weights.sum(axis=1), 1, atol=1e-6)
    assert skinned.bones.max() < len(body.bone_names)
    assert skinned.source.max() < body.identities.shape[1]
    assert body.surface.triangles.max() < len(body.surface.rest)
    assert all(parent < index for index, parent in enumerate(body.parents))
    # Nobody stands a metre away from the origin, and a person is as high as one.
    heights = np.ptp(body.identities[:, :, 2], axis=1)
    assert ((heights > 1.3) & (heights < 2.2)).all()
    np.testing.assert_allclose(body.key_point_weights.sum(axis=1), 1, atol=0.02)


def test_reduction_when_made_then_what_is_not_drawn_is_gone_and_the_rest_unchanged() -> None:
    rng = np.random.default_rng(0)
    num_vertices, num_identities = 30, 6
    corners = {group: rng.integers(0, 20, (5, 3)) for group in TRIANGLE_GROUPS}
    regressor = np.zeros((23, num_vertices), dtype=np.float32)
    regressor[:17, 21] = 1
    full = {
        "can": rng.normal(size=(num_vertices, 3)), "V": rng.normal(size=(num_identities, num_vertices, 3)),
        "H": rng.normal(size=(num_identities, 2, 3)), "PH": rng.random((num_identities, 6)),
        "w": rng.random((num_vertices, 8)), "ix": rng.integers(0, 2, (num_vertices, 8)),
        "parents": np.array([-1, 0]), "bones": np.array(["root", "head"]), "coco": regressor,
        **{"f_" + group: triangles for group, triangles in corners.items()},
    }  # fmt: skip
    reduced = reduce_body(full, 3)
    kept = spread_identities(full["PH"], 3)
    used = np.union1d(np.unique(np.concatenate([t.ravel() for t in corners.values()])), [21])
    assert reduced["identities"].shape == (3, len(used), 3)
    assert reduced["weights"].shape == (len(used), NUM_INFLUENCES)
    group = TRIANGLE_GROUPS[0]
    np.testing.assert_allclose(
        reduced["identities"][0][reduced["triangles " + group]], full["V"][kept[0]][corners[group]], atol=2e-3
    )
    assert (np.diff(reduced["weights"].astype(float), axis=1) <= 0).all()
