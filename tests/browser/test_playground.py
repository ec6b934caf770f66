"""The playground: a photo becomes a picture, is watched on its way, and what goes wrong is said in a sentence."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.playground_page import (
    begin,
    drop,
    generate,
    is_blank,
    open_playground,
    preset,
    saved,
    set_steps,
    wait_for,
)
from tests.integration.processes import EXAMPLES

PERSON, ASTRONAUT = EXAMPLES / "person.png", EXAMPLES / "astronaut.jpg"
# More work than a test wants to wait for: it is there to be watched, and cancelled.
MANY_STEPS, MANY_PICTURES = 250, "8"


@pytest.fixture
def page(visit: Visit) -> Page:
    return open_playground(visit.page)


def aspect(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box
    return box["width"] / box["height"]


def test_page_when_opened_then_one_click_gives_a_picture(page: Page, tmp_path: Path) -> None:
    page.locator("#go").click()
    wait_for(page, "succeeded")

    frame = page.locator("[data-frame]")
    name, image = saved(page, tmp_path)

    expect(frame).to_be_visible()
    assert frame.evaluate("each => [each.naturalWidth, each.naturalHeight]") == [176, 256]
    assert (image.size, is_blank(image)) == ((176, 256), False)
    assert name.startswith("blouse-standing-seed-")
    expect(page.locator("#picture [data-caption]")).to_contain_text("50 steps · DDIM · guidance 2 · seed ")


def test_result_when_on_screen_then_nobody_is_kept_out(page: Page) -> None:
    generate(page)

    found = Axe().run(page).response["violations"]

    assert [(each["id"], each["nodes"]) for each in found if each["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize(("is_shaped", "shown"), [(True, 1.0), (False, 176 / 256)], ids=["photo", "model"])
def test_shape_when_the_photo_is_square_then_pose_and_picture_are_shown_as_chosen(
    page: Page, is_shaped: bool, shown: float, tmp_path: Path
) -> None:
    page.locator("#photo input[type=file]").set_input_files(ASTRONAUT)
    expect(page.locator("#photo [data-picture]")).to_have_attribute("alt", "The photo, astronaut.jpg")
    page.locator("[name=shaped]").set_checked(is_shaped)
    generate(page)

    assert aspect(page, "#photo [data-picture]") == pytest.approx(1, abs=0.02)
    assert aspect(page, "[data-editor]") == pytest.approx(shown, abs=0.02)
    assert aspect(page, "[data-frame]") == pytest.approx(shown, abs=0.02)
    assert saved(page, tmp_path)[1].size == (256, 256)


def test_shape_when_a_photo_is_chosen_then_its_own_is_kept_only_where_people_look_right_in_it(page: Page) -> None:
    shaped = page.locator("[name=shaped]")

    expect(shaped).to_be_checked()
    page.locator("#photo input[type=file]").set_input_files(ASTRONAUT)
    expect(shaped).not_to_be_checked()
    page.locator("#photo input[type=file]").set_input_files(PERSON)
    expect(shaped).to_be_checked()


def test_photo_when_dropped_then_it_is_the_one_that_is_used(page: Page, tmp_path: Path) -> None:
    drop(page, "#photo", "Dropped one.png", "image/png", list(PERSON.read_bytes()))
    expect(page.locator("#photo [data-name]")).to_have_text("Dropped one.png")
    generate(page)

    assert saved(page, tmp_path)[0].startswith("dropped-one-standing-seed-")


def test_example_when_chosen_then_it_is_marked_and_used(page: Page, tmp_path: Path) -> None:
    example = page.get_by_role("button", name="Rendered person in a pink dress")

    example.click()
    expect(example).to_have_attribute("aria-pressed", "true")
    preset(page, "hand on hip").click()
    generate(page)

    assert saved(page, tmp_path)[0].startswith("dress-hand-on-hip-seed-")


@pytest.mark.parametrize(
    ("name", "kind", "content", "words"),
    [
        ("notes.txt", "text/plain", b"no picture", "“notes.txt” is not a picture that can be used."),
        ("broken.png", "image/png", b"\x89PNG\r\n\x1a\n nothing more", "“broken.png” is damaged"),
    ],
)
def test_photo_when_unusable_then_a_sentence_says_why_and_the_last_one_stays(
    page: Page, name: str, kind: str, content: bytes, words: str
) -> None:
    before = page.locator("#photo [data-picture]").get_attribute("src")

    page.locator("#photo input[type=file]").set_input_files({"name": name, "mimeType": kind, "buffer": content})

    expect(page.locator("#photo [data-error]")).to_contain_text(words)
    assert page.locator("#photo [data-picture]").get_attribute("src") == before
    # Nor does the deck, which stays in place, lie over it.
    page.wait_for_function(
        """() => {
          const said = document.querySelector("#photo [data-error]").getBoundingClientRect();
          return said.top >= 0 && said.bottom <= document.querySelector(".deck").getBoundingClientRect().top;
        }"""
    )


def test_photo_when_too_large_then_a_sentence_names_the_limit(page: Page) -> None:
    drop(page, "#photo", "huge.png", "image/png", 8_100_000)

    expect(page.locator("#photo [data-error]")).to_have_text("“huge.png” has 8.1 MB; 8 MB can be sent at most.")


def test_photo_when_the_service_refuses_it_then_the_sentence_stands_at_the_photo_and_all_stays(page: Page) -> None:
    generate(page)
    # A browser opens it; the service wants 16 px a side.
    small = page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
          canvas.getContext("2d").fillRect(0, 0, 8, 8);
          const blob = await new Promise((resolve) => canvas.toBlob(resolve));
          return [...new Uint8Array(await blob.arrayBuffer())];
        }"""
    )
    page.locator("#photo input[type=file]").set_input_files(
        {"name": "small.png", "mimeType": "image/png", "buffer": bytes(small)}
    )
    expect(page.locator("#photo [data-name]")).to_have_text("small.png")

    page.locator("#go").click()

    expect(page.locator("#photo [data-error]")).to_contain_text("16")
    expect(page.locator("[data-frame]")).to_be_visible()
    expect(page.locator("#go")).to_have_attribute("aria-disabled", "false")
    expect(page.locator("#history li")).to_have_count(1)


def test_job_when_it_runs_then_progress_and_previews_are_seen_and_cancel_ends_it(page: Page) -> None:
    set_steps(page, MANY_STEPS)
    page.locator("[name=pictures]").fill(MANY_PICTURES)
    begin(page)
    bar = page.locator("[data-bar]")

    expect(page.locator("#picture [data-caption]")).to_contain_text("Step ")
    expect(page.locator("[data-frame].unfinished")).to_be_visible()
    expect(bar).not_to_have_attribute("aria-valuenow", "0")
    page.locator("#stop").click()
    wait_for(page, "cancelled")

    expect(page.locator("#picture [data-caption]")).to_have_text("Cancelled.")
    expect(bar).to_be_hidden()


def test_button_when_pressed_twice_then_there_is_one_job(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/v1/jobs") else None)
    set_steps(page, 100)

    page.locator("#go").dblclick()
    page.keyboard.press("Control+Enter")
    wait_for(page, "succeeded")

    assert len(sent) == 1


def test_photo_when_used_again_then_it_is_not_uploaded_again_and_the_page_says_that_it_is_known(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/v1/sources") else None)

    generate(page)
    generate(page, steps=5)

    assert len(sent) == 1
    expect(page.locator("[data-timing]")).to_contain_text("photo known · pose known")


def test_photo_when_the_service_has_forgotten_it_then_it_is_uploaded_again(page: Page) -> None:
    generate(page)
    page.evaluate(
        """async () => {
          const upload = new FormData();
          const example = await fetch("/pages/playground/examples/blouse.webp");
          upload.append("source", await example.blob());
          const { id } = await (await fetch("/v1/sources", { method: "POST", body: upload })).json();
          await fetch(`/v1/sources/${id}`, { method: "DELETE" });
        }"""
    )

    generate(page, steps=5)

    expect(page.locator("#history li")).to_have_count(2)


def test_keyboard_when_control_and_enter_are_pressed_then_it_begins_and_seed_stays_only_if_locked(page: Page) -> None:
    seed = page.locator("[name=seed]")
    set_steps(page, 4)

    seeds = []
    for is_locked in (False, False, True):
        page.locator("[data-lock]").evaluate("(lock, isLocked) => isLocked && lock.click()", is_locked)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#history li")).to_have_count(len(seeds) + 1)
        wait_for(page, "succeeded")
        seeds.append(seed.input_value())

    assert len({seeds[0], seeds[1]}) == 2
    assert seeds[1] == seeds[2]


def test_pictures_when_several_are_asked_for_then_each_can_be_seen_and_saved(page: Page, tmp_path: Path) -> None:
    page.locator("[name=pictures]").fill("2")
    page.locator("[name=seed]").fill("41")
    generate(page)

    page.get_by_role("button", name="Seed 42").click()

    assert saved(page, tmp_path)[0] == "blouse-standing-seed-42.png"
    expect(page.locator("#picture [data-caption]")).to_contain_text("seed 42")


def test_notice_when_it_was_read_then_it_does_not_come_back(page: Page) -> None:
    notice = page.locator("#notice")

    expect(notice).to_contain_text("trained on rendered persons")
    notice.get_by_role("button").click()
    page.reload()
    expect(page.locator("#model")).to_contain_text("demo")

    expect(notice).to_be_hidden()
