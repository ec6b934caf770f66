"""Key points out of JSON: what is a point, what is missing, and what can't be drawn."""

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.domain.errors import RequestError
from service.domain.pose import MAX_FRAME_PX, parse_key_points
from tests.unit.builders import repeatable

SIZE, ORIGIN = (176.0, 256.0), (40.0, 0.0)
GOOD: list[Any] = [[60 + 5 * index, 40 + 9 * index] for index in range(18)]
SCORES = st.none() | st.floats(0.001, 1)
# Up to one frame off the frame that SIZE and ORIGIN describe.
SEEN = st.tuples(st.floats(40 - 176, 40 + 352), st.floats(-256, 512), SCORES)
MISSING: st.SearchStrategy[Any] = (
    st.none()
    | st.just([-1, -1])
    | st.just([-1.0, -1, 0.9])
    | st.tuples(st.floats(-MAX_FRAME_PX, MAX_FRAME_PX), st.floats(-MAX_FRAME_PX, MAX_FRAME_PX)).map(
        lambda point: [*point, 0]
    )
)


def with_points(*entries: Any) -> list[Any]:
    """The good pose, its first points replaced."""
    return [*entries, *GOOD[len(entries) :]]


def refusal(entries: list[Any], size: tuple[float, float] = SIZE, origin: tuple[float, float] = ORIGIN) -> tuple:
    """Code and pointer of the error."""
    with pytest.raises(RequestError) as error:
        parse_key_points(entries, size, origin)
    (issue,) = error.value.issues
    return error.value.code, issue.pointer


@repeatable
@given(st.lists(SEEN, min_size=3, max_size=18), st.data())
def test_points_when_good_then_they_are_kept_as_given_and_the_rest_is_missing(seen: list, data: st.DataObject) -> None:
    far_apart = math.hypot(*(max(values) - min(values) for values in zip(*((x, y) for x, y, _ in seen), strict=True)))
    assume(far_apart > 2)
    assume(all((x, y) != (-1, -1) for x, y, _ in seen))
    entries = [list(point) for point in seen] + [data.draw(MISSING) for _ in range(18 - len(seen))]
    order = data.draw(st.permutations(range(18)))

    key_points = parse_key_points([entries[index] for index in order], SIZE, ORIGIN)

    expected = [seen[index][:2] if index < len(seen) else None for index in order]
    assert list(key_points.points) == expected
    assert (key_points.size, key_points.origin) == (SIZE, ORIGIN)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@repeatable
@given(st.lists(JUNK, min_size=18, max_size=18))
def test_points_when_they_are_any_json_then_key_points_or_an_error_that_points_into_them(entries: list) -> None:
    try:
        key_points = parse_key_points(entries, SIZE, ORIGIN)
    except RequestError as error:
        (issue,) = error.issues
        assert issue.pointer.startswith("/pose/keypoints")
    else:
        assert sum(point is not None for point in key_points.points) >= 3


@pytest.mark.parametrize("score", [None, 1, 0.5, 0.001])
def test_point_when_its_score_is_none_or_above_zero_then_it_is_seen(score: float | None) -> None:
    assert parse_key_points(with_points([70, 80, score]), SIZE, ORIGIN).points[0] == (70, 80)


@pytest.mark.parametrize("entry", [None, [-1, -1], [-1, -1, 1], [70, 80, 0], [70, 80, 0.0], [1e4, 1e4, 0]])
def test_point_when_missing_in_any_way_then_none(entry: Any) -> None:
    assert parse_key_points(with_points(entry), SIZE, ORIGIN).points[0] is None


def test_point_when_only_one_coordinate_is_minus_one_then_it_is_seen() -> None:
    assert parse_key_points(with_points([-1, 30], [50, -1]), SIZE, ORIGIN).points[:2] == ((-1, 30), (50, -1))


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"x": 1, "y": 2}, ""),
        ("12", ""),
        (7, ""),
        ([], ""),
        ([1], ""),
        ([1, 2, 1, 1], ""),
        (["1", 2], "/0"),
        ([1, None], "/1"),
        ([True, 2], "/0"),
        ([1, math.inf], "/1"),
        ([10**400, 2], "/0"),
        ([1, 2, 1.01], "/2"),
        ([1, 2, -0.1], "/2"),
        ([1, 2, True], "/2"),
        ([1, 2, "1"], "/2"),
    ],
)
def test_point_when_its_form_is_wrong_then_the_error_points_at_the_value(entry: Any, place: str) -> None:
    assert refusal(with_points(None, entry)) == ("keypoints_format", f"/pose/keypoints/1{place}")


@pytest.mark.parametrize("count", [0, 17, 19])
def test_points_when_their_number_is_wrong_then_refused_with_it(count: int) -> None:
    with pytest.raises(RequestError, match=f"not {count}"):
        parse_key_points((GOOD * 2)[:count], SIZE)


@pytest.mark.parametrize(
    ("point", "is_good"),
    [
        ([40 - 176, 0], True),
        ([40 - 176.5, 0], False),
        ([40 + 352, 0], True),
        ([40 + 352.5, 0], False),
        ([40, -256], True),
        ([40, -256.5], False),
        ([40, 512], True),
        ([40, 512.5], False),
    ],
)
def test_frame_when_a_point_is_up_to_one_frame_off_then_good_and_beyond_not(point: list[float], is_good: bool) -> None:
    if is_good:
        assert parse_key_points(with_points(point), SIZE, ORIGIN).points[0] == tuple(point)
    else:
        assert refusal(with_points(point)) == ("pose_out_of_frame", "/pose/keypoints/0")


def test_points_when_fewer_than_three_are_seen_then_too_sparse() -> None:
    seen = [[60, 10], [90, 200]]

    assert refusal(seen + [None] * 16) == ("pose_too_sparse", "/pose/keypoints")
    assert parse_key_points([*seen, [70, 70], *[None] * 15], SIZE, ORIGIN)


def test_points_when_they_lie_on_each_other_then_too_sparse_in_the_models_frame() -> None:
    within_a_pixel = [[100 + 0.1 * index, 100] for index in range(5)] + [None] * 13

    assert refusal(within_a_pixel, (256, 256), (0, 0))[0] == "pose_too_sparse"
    # The same points of a frame of 64 px are 1.6 px apart once stretched to 256.
    assert parse_key_points(within_a_pixel, (64, 64), (60, 60))
