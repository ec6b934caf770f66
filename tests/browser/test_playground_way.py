"""The playground's way from one pose to another, and OpenPose's own files."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.playground_page import drop, generate, is_blank, joint, open_playground, place, preset, saved


@pytest.fixture
def page(visit: Visit) -> Page:
    return open_playground(visit.page)


def test_morph_when_both_ends_are_set_then_pictures_on_the_way_come_in_a_strip(page: Page, tmp_path: Path) -> None:
    page.get_by_label("Morph", exact=True).check()
    start = place(page, "left wrist")
    page.get_by_role("button", name="To", exact=True).click()
    preset(page, "arms raised").click()
    end = place(page, "left wrist")
    page.locator("[name=count]").fill("3")
    expect(page.locator("#go")).to_have_text("Generate 3 pictures")

    generate(page)
    name, image = saved(page, tmp_path)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("[data-frame]")).to_be_visible()
    first = page.locator("[data-frame]").get_attribute("src") or ""
    expect(page.locator("[data-frame]")).not_to_have_attribute("src", first)
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="From", exact=True).click()

    assert place(page, "left wrist") == start != end
    expect(page.locator("[data-grid].strip li img:not(.pose-thumbnail)")).to_have_count(3)
    assert name.startswith("blouse-morph-seed-")
    assert (image.size, is_blank(image)) == ((3 * 176, 256), False)


def test_morph_when_an_end_is_a_drawing_then_a_sentence_says_what_is_wrong(page: Page, visit: Visit) -> None:
    drawing = visit.context.request.get("/v1/poses/presets/walking/image").body()
    page.get_by_label("Morph", exact=True).check()
    page.locator("[data-from=file]").set_input_files({"name": "drawn.png", "mimeType": "image/png", "buffer": drawing})
    expect(page.locator("[data-drawing]")).to_be_visible()

    page.locator("#go").click()

    expect(page.locator("#pose [data-error]")).to_contain_text("from")
    expect(page.locator("#history li")).to_have_count(0)


def test_pose_when_a_file_is_openpose_s_then_its_person_can_be_moved(page: Page) -> None:
    numbers = [value for index in range(18) for value in (100 + index, 50 + 8 * index, 0.9)]
    document = {"people": [{"pose_keypoints_2d": numbers}], "canvas_width": 256, "canvas_height": 256}

    drop(page, "#pose", "openpose.json", "application/json", list(json.dumps(document).encode()))

    expect(joint(page, "left ear")).to_have_attribute("aria-valuetext", "x 117, y 186")
