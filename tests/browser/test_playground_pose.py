"""The playground's skeleton: moved by mouse, finger and keyboard, changed by its tools, read from files."""

import json

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PHONE, Visit, visiting
from tests.browser.playground_page import (
    drop,
    generate,
    joint,
    middle,
    open_playground,
    place,
    preset,
    saved,
)
from tests.integration.processes import EXAMPLES, RunningService

POSE = EXAMPLES / "pose.json"
NAMES = 13


@pytest.fixture
def page(visit: Visit) -> Page:
    return open_playground(visit.page)


def tool(page: Page, name: str) -> None:
    page.locator(f"[data-tool={name}]").click()


def test_joint_when_dragged_by_mouse_then_it_and_no_other_moves_and_undo_brings_it_back(page: Page) -> None:
    start, other = place(page, "left wrist"), place(page, "left elbow")
    x, y = middle(joint(page, "left wrist").locator(".ring"))
    scale = page.locator("[data-editor]").evaluate("each => each.getBoundingClientRect().height / 256")

    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20 * scale, y - 30 * scale, steps=4)
    page.mouse.up()

    # Across, a px of the model's frame is 176 / 256 of one down.
    assert place(page, "left wrist") == pytest.approx((start[0] + 20 * 256 / 176, start[1] - 30), abs=1)
    assert place(page, "left elbow") == other
    expect(joint(page, "left wrist")).to_be_focused()
    tool(page, "undo")
    assert place(page, "left wrist") == start
    tool(page, "redo")
    assert place(page, "left wrist") != start


def test_joint_when_moved_by_keyboard_then_it_goes_step_by_step_and_is_hidden_and_shown_again(page: Page) -> None:
    x, y = place(page, "nose")
    joint(page, "nose").focus()

    for key in ("ArrowRight", "Shift+ArrowDown", "PageDown", "Home", "PageUp"):
        page.keyboard.press(key)

    assert place(page, "nose") == (x + 1, y + 8)
    expect(joint(page, "left ear")).to_be_focused()
    page.keyboard.press("Delete")
    expect(joint(page, "left ear")).to_be_hidden()
    expect(joint(page, "nose")).to_be_focused()
    page.get_by_role("button", name="Show left ear").click()
    expect(joint(page, "left ear")).to_be_focused()
    page.keyboard.press("Control+z")
    expect(joint(page, "left ear")).to_be_hidden()


def test_joints_when_only_three_are_left_then_they_stay(page: Page) -> None:
    for _ in range(17):
        tool(page, "hide")

    assert page.locator("[data-editor] .joint:not([hidden])").count() == 3


def test_joint_when_dragged_by_finger_then_it_moves_and_the_page_does_not(
    browser: Browser, service: RunningService
) -> None:
    with visiting(browser, str(service.client.base_url), PHONE) as visit:
        page = open_playground(visit.page)
        page.locator("[data-editor]").scroll_into_view_if_needed()
        start, scrolled = place(page, "right wrist"), page.evaluate("scrollY")
        x, y = middle(joint(page, "right wrist").locator(".ring"))
        session = visit.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            touches = [{"x": x, "y": y} for x, y in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

        touch("touchStart", (x, y))
        for step in range(1, 9):
            touch("touchMove", (x + 3 * step, y - 8 * step))
        touch("touchEnd")

        assert place(page, "right wrist")[1] < start[1] - 30
        assert page.evaluate("scrollY") == scrolled


def test_joint_when_a_second_finger_comes_and_goes_then_the_first_one_keeps_it(
    browser: Browser, service: RunningService
) -> None:
    with visiting(browser, str(service.client.base_url), PHONE) as visit:
        page = open_playground(visit.page)
        page.locator("[data-editor]").scroll_into_view_if_needed()
        start, other = place(page, "right wrist"), place(page, "left wrist")
        first = middle(joint(page, "right wrist").locator(".ring"))
        second = middle(joint(page, "left wrist").locator(".ring"))
        session = visit.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            touches = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(points)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

        touch("touchStart", first)
        touch("touchStart", first, second)
        touch("touchMove", first, (second[0], second[1] - 20))
        touch("touchEnd", first)
        for step in range(1, 9):
            touch("touchMove", (first[0], first[1] - 8 * step))
        touch("touchEnd")

        assert place(page, "right wrist")[1] < start[1] - 30
        assert place(page, "left wrist") == other
        tool(page, "undo")
        assert place(page, "right wrist") == start


def test_tools_when_used_then_the_pose_is_mirrored_fitted_and_reset(page: Page) -> None:
    preset(page, "hand on hip").click()
    right, left = place(page, "right wrist"), place(page, "left wrist")

    tool(page, "mirror")
    mirrored = place(page, "right wrist"), place(page, "left wrist")
    tool(page, "fit")
    heights = [place(page, name)[1] for name in ("right ankle", "left ankle", "left eye", "right eye", "nose")]

    assert mirrored[0] == pytest.approx((256 - left[0], left[1]), abs=1)
    assert mirrored[1] == pytest.approx((256 - right[0], right[1]), abs=1)
    assert (min(heights), max(heights)) == pytest.approx((256 * 0.08, 256 * 0.92), abs=2)
    tool(page, "reset")
    assert (place(page, "right wrist"), place(page, "left wrist")) == (right, left)


def test_named_pose_when_chosen_then_it_is_marked_until_a_joint_moves(page: Page) -> None:
    button = preset(page, "back")
    assert page.locator("[data-presets] button").count() == NAMES

    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    joint(page, "left ankle").press("ArrowLeft")

    expect(button).to_have_attribute("aria-pressed", "false")


def test_named_pose_when_a_file_has_its_name_then_it_is_not_marked(page: Page) -> None:
    expect(preset(page, "standing")).to_have_attribute("aria-pressed", "true")

    drop(page, "#pose", "standing.json", "application/json", list(POSE.read_bytes()))

    expect(preset(page, "standing")).to_have_attribute("aria-pressed", "false")


def test_pose_when_a_file_has_key_points_then_they_can_be_moved(page: Page) -> None:
    keypoints = json.loads(POSE.read_text())["keypoints"]

    drop(page, "#pose", "mine.json", "application/json", list(POSE.read_bytes()))

    # Of a frame of 176 px across.
    expect(joint(page, "nose")).to_have_attribute(
        "aria-valuetext", f"x {keypoints[0][0] * 256 / 176:.0f}, y {keypoints[0][1]:.0f}"
    )


def test_pose_when_a_file_has_a_skeleton_then_it_is_used_as_it_is(
    page: Page, service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> None:
    drawing = service.client.get("/v1/poses/presets/walking/image").content
    page.locator("[data-from=file]").set_input_files({"name": "drawn.png", "mimeType": "image/png", "buffer": drawing})

    expect(page.locator("[data-drawing]")).to_be_visible()
    expect(page.locator("[data-tool=mirror]")).to_be_disabled()
    generate(page)

    assert saved(page, tmp_path_factory.mktemp("saved"))[0].startswith("blouse-drawn-seed-")
    preset(page, "back").click()
    expect(page.locator("[data-drawing]")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "kind", "content", "words"),
    [
        ("few.json", "application/json", b'{"keypoints": [[1, 2]], "size": [256, 256]}', "18 entries"),
        ("no.json", "application/json", b"{", "JSON"),
    ],
)
def test_pose_when_a_file_is_unusable_then_a_sentence_says_why_and_the_last_pose_stays(
    page: Page, name: str, kind: str, content: bytes, words: str
) -> None:
    before = place(page, "nose")

    page.locator("[data-from=file]").set_input_files({"name": name, "mimeType": kind, "buffer": content})

    expect(page.locator("#pose [data-error]")).to_contain_text(words)
    assert place(page, "nose") == before
