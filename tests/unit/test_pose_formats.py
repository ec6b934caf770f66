"""Poses of other tools: which number becomes which point, in which frame."""

from typing import Any

import numpy as np
import pytest

from service.domain.errors import RequestError
from service.domain.pose import KeyPoints
from service.domain.pose_formats import read_coco17, read_deepfashion, read_openpose
from xmdpt.deepfashion import read_row
from xmdpt.evaluation.key_points import KeyPoints as AnnotatedKeyPoints
from xmdpt.skeleton import to_frame

# Names as the formats' own papers and sources give them.
OURS = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
BODY_25 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("middle_of_hips", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
PLACES = {name: (10.0 + 3 * number, 20.0 + 7 * number) for number, name in enumerate(sorted({*OURS, *BODY_25}))}
EXPECTED = tuple(PLACES[name] for name in OURS)
SIZE = (200.0, 300.0)


def in_a_row(names: tuple[str, ...], score: float = 1) -> list[Any]:
    return [number for name in names for number in (*PLACES[name], score)]


def a_document(numbers: list[Any], **more: Any) -> dict[str, Any]:
    return {"people": [{"pose_keypoints_2d": numbers}]} | more


def refusal(function: Any, *arguments: Any) -> tuple[str, str]:
    """Code and pointer of the error."""
    with pytest.raises(RequestError) as error:
        function(*arguments)
    return error.value.code, error.value.issues[0].pointer


@pytest.mark.parametrize("names", [OURS, BODY_25], ids=["18", "25"])
def test_openpose_when_it_has_18_or_25_points_then_each_is_where_its_name_is(names: tuple[str, ...]) -> None:
    document = a_document(in_a_row(names), canvas_width=200, canvas_height=300)

    assert read_openpose(document, None, None, "/pose") == KeyPoints(EXPECTED, SIZE)


def test_openpose_when_confidence_is_0_then_the_point_is_missing_whatever_its_place() -> None:
    numbers = in_a_row(OURS)
    numbers[3:6], numbers[6:9] = [7, 8, 0], [None, None, 0.0]

    points = read_openpose(a_document(numbers), SIZE, None, "/pose").points

    assert points[:4] == (EXPECTED[0], None, None, EXPECTED[3])


def test_openpose_when_confidence_is_above_1_then_the_point_is_seen() -> None:
    assert read_openpose(a_document(in_a_row(OURS, 1.02)), SIZE, None, "/pose").points == EXPECTED


@pytest.mark.parametrize(
    ("size", "canvas", "frame"),
    [(None, (512, 768), (512, 768)), ((100, 200), (512, 768), (100, 200)), ((100, 200), None, (100, 200))],
    ids=["canvas", "both", "size"],
)
def test_openpose_when_frames_are_given_then_the_size_comes_first(size: Any, canvas: Any, frame: Any) -> None:
    more = dict(zip(("canvas_width", "canvas_height"), canvas, strict=True)) if canvas else {}

    found = read_openpose(a_document(in_a_row(OURS), **more), size, (5, 6), "/pose")

    assert (found.size, found.origin, found.points) == (frame, (5, 6), EXPECTED)


@pytest.mark.parametrize(
    ("size", "canvas", "unit", "frame"),
    [
        (None, (512, 768), (512, 768), (512, 768)),
        ((256, 768), (512, 768), (512, 768), (256, 768)),
        ((100, 200), None, (100, 200), (100, 200)),
        (None, None, (1, 1), (1, 1)),
    ],
    ids=["canvas", "both", "size", "none"],
)
def test_openpose_when_coordinates_are_shares_then_they_are_those_of_the_canvas(
    size: Any, canvas: Any, unit: Any, frame: Any
) -> None:
    shares = [value / 400 if index % 3 < 2 else value for index, value in enumerate(in_a_row(OURS))]
    more = dict(zip(("canvas_width", "canvas_height"), canvas, strict=True)) if canvas else {}

    found = read_openpose(a_document(shares, **more), size, None, "/pose")

    expected = np.array(EXPECTED) / 400 * unit
    assert found.size == frame
    np.testing.assert_allclose(np.array(found.points, float), expected)


@pytest.mark.parametrize("far", [-0.6, 1.6])
def test_openpose_when_one_coordinate_is_far_outside_then_all_are_px(far: float) -> None:
    numbers = [0.5, 0.5, 1] * 17 + [far, 0.5, 1]

    points = read_openpose(a_document(numbers, canvas_width=64, canvas_height=64), None, None, "/pose").points

    assert points[0] == (0.5, 0.5)
    assert points[17] == (far, 0.5)


@pytest.mark.parametrize("near", [-0.5, -0.01, 1.01, 1.5])
def test_openpose_when_a_share_is_a_little_outside_then_all_are_shares(near: float) -> None:
    numbers = [0.5, 0.5, 1] * 17 + [0.5, near, 1]

    points = read_openpose(a_document(numbers, canvas_width=64, canvas_height=64), None, None, "/pose").points

    assert points[0] == (32, 32)
    assert points[17] == (32, 64 * near)


@pytest.mark.parametrize("size", [(1, 1), (1, 1.5), (2, 2)])
def test_openpose_when_the_size_is_that_of_shares_then_they_stay_as_they_are(size: Any) -> None:
    numbers = [0.25, 0.5, 1] * 18

    found = read_openpose(a_document(numbers, canvas_width=256, canvas_height=256), size, None, "/pose")

    assert (found.size, found.points) == (size, 18 * ((0.25, 0.5),))


@pytest.mark.parametrize("people", [[], [{}, {}]], ids=["nobody", "two"])
def test_openpose_when_there_is_not_one_person_then_it_says_so(people: list[Any]) -> None:
    code = "several_persons" if people else "no_person"

    assert refusal(read_openpose, {"people": people}, SIZE, None, "/pose") == (code, "/pose/openpose/people")


@pytest.mark.parametrize(
    "entries",
    [
        in_a_row(COCO, 2),
        in_a_row(COCO, 1),
        [[*PLACES[name], 0.4] for name in COCO],
        [list(PLACES[name]) for name in COCO],
    ],
    ids=["annotation", "labelled but hidden", "rows with scores", "rows"],
)
def test_coco_when_given_in_any_way_then_each_point_is_where_its_name_is(entries: list[Any]) -> None:
    found = read_coco17(entries, SIZE, None, "/pose")

    neck = tuple(np.mean([PLACES["left_shoulder"], PLACES["right_shoulder"]], axis=0))
    assert found == KeyPoints((EXPECTED[0], neck, *EXPECTED[2:]), SIZE)


@pytest.mark.parametrize("missing", [None, [-1, -1], [0, 0], [3, 4, 0]], ids=str)
def test_coco_when_a_shoulder_is_missing_then_so_is_the_neck(missing: Any) -> None:
    entries: list[Any] = [list(PLACES[name]) for name in COCO]
    entries[COCO.index("left_shoulder")] = missing

    points = read_coco17(entries, SIZE, None, "/pose").points

    assert [OURS[index] for index, point in enumerate(points) if point is None] == ["neck", "left_shoulder"]


def test_coco_when_a_point_in_the_corner_has_a_score_then_it_is_seen() -> None:
    entries = [[0, 0, 0.9], *[list(PLACES[name]) for name in COCO[1:]]]

    assert read_coco17(entries, SIZE, None, "/pose").points[0] == (0, 0)


COLUMNS = {"keypoints_y": [y for _, y in EXPECTED], "keypoints_x": [x for x, _ in EXPECTED]}
ROW = f"men/a.jpg: {COLUMNS['keypoints_y']}: {COLUMNS['keypoints_x']}"


@pytest.mark.parametrize("row", [COLUMNS, ROW], ids=["object", "text"])
def test_deepfashion_when_read_then_it_is_what_the_evaluation_reads(row: Any, tmp_path: Any) -> None:
    path = tmp_path / "annotations.csv"
    path.write_text(f"name:keypoints_y:keypoints_x\n{ROW}\n")

    found = read_deepfashion(row, None, None, "/pose")

    assert found.points == EXPECTED
    in_square = to_frame(np.array(found.points, float), found.size, found.origin)
    np.testing.assert_array_equal(in_square, AnnotatedKeyPoints(path).of("men/a.jpg"))


@pytest.mark.parametrize(
    ("size", "origin", "frame"),
    [
        (None, None, ((176, 256), (40, 0))),
        ((256, 256), None, ((256, 256), (0, 0))),
        ((256, 256), (3, 4), ((256, 256), (3, 4))),
        (None, (3, 4), ((176, 256), (3, 4))),
    ],
    ids=["none", "size", "both", "origin"],
)
def test_deepfashion_when_a_frame_is_given_then_it_holds(size: Any, origin: Any, frame: Any) -> None:
    found = read_deepfashion(ROW, size, origin, "/pose")

    assert (found.size, found.origin) == frame


def test_deepfashion_when_either_number_is_missing_then_the_point_is() -> None:
    columns = {"keypoints_y": [-1, 30, -1, *[40] * 15], "keypoints_x": [50, -1, -1, *[60] * 15]}

    assert read_deepfashion(columns, None, None, "/pose").points == (None, None, None, *[(60, 40)] * 15)


@pytest.mark.parametrize("text", ["", "a:[1]", "a:[1]:[2]:[3]", "a:[[1]]:[2]", 'a:["1"]:[2]', "a:1:2", "a:[1:2]"])
def test_row_when_it_has_another_form_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part of it is wrong
        read_row(text)
