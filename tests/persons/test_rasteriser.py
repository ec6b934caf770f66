"""The compiled rasteriser and the one in numpy draw the same; Python and C agree on what is packed."""

import dataclasses

import numpy as np
import pytest

from xmdpt.persons.appearance import Appearance, Logo, Pattern, Scenery, pack, struct_declaration
from xmdpt.persons.body import load_body
from xmdpt.persons.domain import DEMO, VARIED, Domain
from xmdpt.persons.numpy_rasteriser import NumpyRasteriser
from xmdpt.persons.person import Person
from xmdpt.persons.rasteriser import CRasteriser, Drawing, Rasteriser, load_rasteriser
from xmdpt.persons.render import render_pair

SIZE = 96


@pytest.fixture(scope="module")
def compiled() -> CRasteriser:
    rasteriser = load_rasteriser()
    if not isinstance(rasteriser, CRasteriser):
        pytest.skip("no C compiler")
    return rasteriser


@pytest.mark.parametrize(("domain", "seed"), [(DEMO, 0), (DEMO, 6), (VARIED, 1), (VARIED, 5), (VARIED, 9)])
def test_numpy_when_it_draws_then_the_same_as_compiled(compiled: CRasteriser, domain: Domain, seed: int) -> None:
    ours, theirs = (
        render_pair(seed, domain, num_views=1, size=SIZE, rasteriser=rasteriser).views[0]
        for rasteriser in (compiled, NumpyRasteriser())
    )
    # Equal bytes on the computers tried; another compiler may turn a point on an edge.
    assert np.mean(ours.picture != theirs.picture) < 0.002
    assert np.mean(ours.materials != theirs.materials) < 0.002
    assert np.abs(ours.key_points - theirs.key_points).max() < 0.01


@pytest.mark.parametrize("pattern", list(Pattern))
def test_patterns_when_drawn_by_both_then_the_same(
    compiled: CRasteriser, varied_person: Person, pattern: Pattern
) -> None:
    logo = Logo(pattern % len(Logo))
    look = dataclasses.replace(varied_person.appearance, top_pattern=pattern, bottom_pattern=pattern, logo=logo)
    ours, theirs = (draw_standing(rasteriser, look) for rasteriser in (compiled, NumpyRasteriser()))
    assert np.mean(ours.picture != theirs.picture) < 0.005
    is_top = np.isin(ours.materials, [4])
    assert is_top.any()


@pytest.fixture(scope="module")
def varied_person() -> Person:
    return render_pair(4, VARIED, num_views=1, size=8).person


def draw_standing(rasteriser: Rasteriser, look: Appearance) -> Drawing:
    """Draw the body at rest from the front, 64 px."""
    surface = load_body().surface
    normals = rasteriser.normals(surface.rest, surface.triangles)
    x, y, z = surface.rest.T
    positions = np.stack([64 + 60 * x, 64 - 60 * (z + 0.05), 4 + y], axis=1).astype(np.float32)
    grey = (0.8, 0.8, 0.8)
    return rasteriser.draw(surface, positions, normals, look, Scenery(grey, grey, (0, -1, 0), 0.5), 64, 2)


def test_packing_when_c_is_asked_then_as_many_numbers(compiled: CRasteriser, varied_person: Person) -> None:
    packed = pack(varied_person.appearance)
    assert packed.dtype == np.float32
    assert len(packed) == compiled._library.num_appearance_numbers()
    declaration = struct_declaration(Appearance)
    assert declaration.count("[3]") == 9
    assert declaration.count(";") == len(dataclasses.fields(Appearance)) + 1
    assert list(packed[:3]) == pytest.approx(varied_person.appearance.skin)


def test_compiled_when_an_array_has_another_type_then_refused(compiled: CRasteriser) -> None:
    with pytest.raises(AssertionError, match="float32"):
        compiled.normals(np.zeros((3, 3)), np.array([[0, 1, 2]], dtype=np.int32))  # type: ignore[arg-type]


@pytest.mark.parametrize("rasteriser", [load_rasteriser(), NumpyRasteriser()])
def test_normals_when_of_one_triangle_then_at_right_angles_to_it(rasteriser: Rasteriser) -> None:
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0]], dtype=np.float32)
    normals = rasteriser.normals(corners, np.array([[0, 1, 2]], dtype=np.int32))
    assert normals == pytest.approx(np.tile([0, 0, 1], (3, 1)))
