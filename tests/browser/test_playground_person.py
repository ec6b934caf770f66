"""The playground where a photo holds a person: the pose is taken from it, or it is cropped around the person."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.playground_page import drop, generate, joint, open_playground, place, saved
from tests.integration.processes import EXAMPLES

PERSON = EXAMPLES / "person.png"


@pytest.fixture
def page(visit: Visit) -> Page:
    return open_playground(visit.page)


def test_pose_when_taken_from_a_photo_then_its_person_stands_in_the_frame_and_can_be_moved(page: Page) -> None:
    before = place(page, "left wrist")

    page.locator("[data-from=photo]").set_input_files(PERSON)
    expect(page.locator("[data-presets] [aria-pressed=true]")).to_have_count(0)

    # The person of the example holds its left hand far out.
    assert place(page, "left wrist")[0] > before[0] + 15
    expect(joint(page, "nose")).to_be_visible()


def test_pose_when_the_photo_holds_nobody_then_a_sentence_says_so(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (200, 300), "#777777").save(tmp_path / "wall.png")
    before = place(page, "nose")

    drop(page, "#pose", "wall.png", "image/png", list((tmp_path / "wall.png").read_bytes()))

    expect(page.locator("#pose [data-error]")).to_contain_text("Nobody found: ")
    assert place(page, "nose") == before


def test_photo_when_framed_then_the_picture_has_the_model_s_shape(page: Page, tmp_path: Path) -> None:
    with Image.open(PERSON) as person:
        wide = Image.new("RGB", (500, 300), person.convert("RGB").getpixel((2, 2)))
        wide.paste(person, (60, 30))
        wide.save(tmp_path / "wide.png")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "wide.png")
    expect(page.locator("#photo [data-name]")).to_have_text("wide.png")

    page.get_by_label("Frame the person").check()
    generate(page)

    assert saved(page, tmp_path)[1].size == (176, 256)


def test_photo_when_it_is_a_portrait_and_to_be_framed_then_the_sentence_says_what_is_missing(page: Page) -> None:
    page.locator("#photo input[type=file]").set_input_files(EXAMPLES / "astronaut.jpg")
    page.get_by_label("Frame the person").check()

    page.get_by_role("button", name="Generate").click()

    said = "Person out of the picture: must show the person from the head to the hips; no hip is in the picture."
    expect(page.locator("#photo [data-error]")).to_have_text(said)
