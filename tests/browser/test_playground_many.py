"""The playground's several poses at once, its history, and what a reload finds again."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Visit
from tests.browser.playground_page import (
    begin,
    generate,
    is_blank,
    joint,
    open_playground,
    place,
    preset,
    saved,
    set_steps,
    wait_for,
)
from tests.integration.processes import RunningService


@pytest.fixture
def page(visit: Visit) -> Page:
    return open_playground(visit.page)


def history(page: Page, index: int) -> None:
    """Click a take, 0 the newest."""
    page.locator("#history li button").nth(index).click()


def shown(page: Page) -> str:
    """The pixels on screen, as text."""
    return page.locator("[data-frame]").evaluate(
        """async (picture) => {
          await picture.decode();
          const { naturalWidth: width, naturalHeight: height } = picture;
          const canvas = Object.assign(document.createElement("canvas"), { width, height });
          canvas.getContext("2d").drawImage(picture, 0, 0);
          return canvas.toDataURL();
        }"""
    )


def test_several_when_poses_are_chosen_then_a_picture_of_each_comes_and_all_are_saved_in_a_row(
    page: Page, tmp_path: Path
) -> None:
    page.get_by_label("Several", exact=True).check()
    for name in ("hand on hip", "back", "walking"):
        preset(page, name).click()
    page.get_by_role("button", name="Remove walking").click()
    joint(page, "nose").press("ArrowUp")
    page.get_by_role("button", name="Add the pose above").click()
    expect(page.locator("#go")).to_have_text("Generate 4 pictures")

    generate(page)
    name, image = saved(page, tmp_path)

    expect(page.locator("[data-grid] li img:not(.pose-thumbnail)")).to_have_count(4)
    assert name.startswith("blouse-several-seed-")
    assert (image.size, is_blank(image)) == ((4 * 176, 256), False)


def test_several_when_cancelled_then_the_rest_does_not_come(page: Page, service: RunningService) -> None:
    page.get_by_label("Several", exact=True).check()
    for name in ("hand on hip", "back", "walking", "side", "sitting", "striding"):
        preset(page, name).click()
    set_steps(page, 250)
    begin(page)

    page.locator("#stop").click()
    wait_for(page, "cancelled")

    assert page.locator("[data-grid] li img:not(.pose-thumbnail)").count() < 7
    running = service.client.get("/v1/jobs", params={"status": "running"}).json()["data"]
    assert [job for job in running if job["batch_id"]] == []


def test_several_when_no_pose_is_left_then_a_sentence_says_so(page: Page) -> None:
    page.get_by_label("Several", exact=True).check()
    page.get_by_role("button", name="Remove standing").click()

    page.locator("#go").click()

    expect(page.locator("#pose [data-error]")).to_have_text("Choose at least one pose.")


def test_history_when_a_take_is_clicked_after_a_reload_then_photo_pose_settings_and_picture_are_back(
    page: Page,
) -> None:
    page.get_by_role("button", name="Rendered person in a pink dress").click()
    preset(page, "back").click()
    page.locator("[name=guidance]").fill("3")
    page.locator("[name=seed]").fill("7")
    generate(page, steps=5)
    first, wrist = shown(page), place(page, "left wrist")
    page.get_by_role("button", name="Rendered person in a white shirt").click()
    preset(page, "hand on hip").click()
    page.locator("[name=guidance]").fill("2")
    page.locator("[name=seed]").fill("8")
    generate(page, steps=6)
    second = shown(page)
    page.reload()
    expect(page.locator("#history li")).to_have_count(2)
    expect(page.locator("[data-frame]")).to_be_visible()

    assert shown(page) == second != first
    history(page, 1)

    assert shown(page) == first
    assert place(page, "left wrist") == wrist
    expect(page.get_by_role("button", name="Rendered person in a pink dress")).to_have_attribute("aria-pressed", "true")
    expect(preset(page, "back")).to_have_attribute("aria-pressed", "true")
    assert [page.locator(f"[name={name}]").input_value() for name in ("steps", "guidance", "seed")] == ["5", "3", "7"]


def test_history_when_the_preset_of_a_take_is_no_longer_offered_then_the_exact_one(page: Page) -> None:
    def without_fast(route: Route) -> None:
        models = route.fetch().json()
        for model in models["data"]:
            model["presets"] = [preset for preset in model["presets"] if preset["name"] != "fast"]
        route.fulfill(json=models)

    page.locator("[name=preset]").select_option("fast")
    generate(page)
    page.route("**/v1/models", without_fast)
    page.reload()
    expect(page.locator("[name=preset] option")).to_have_count(2)
    expect(page.locator("#history li")).to_have_count(1)

    history(page, 0)

    expect(page.locator("[name=preset]")).to_have_value("exact")
    generate(page)


def test_job_when_the_page_is_left_then_it_goes_on_and_is_found_again(page: Page) -> None:
    set_steps(page, 250)
    page.locator("[name=pictures]").fill("2")
    begin(page)

    page.reload()
    expect(page.locator("#stop")).to_be_visible()
    wait_for(page, "succeeded")

    expect(page.locator("[data-shots] button")).to_have_count(2)


def test_history_when_forgotten_then_nothing_is_left_here_or_at_the_service(
    page: Page, service: RunningService
) -> None:
    before = set(jobs(service))
    generate(page)
    page.get_by_label("Several", exact=True).check()
    preset(page, "back").click()
    generate(page)
    assert len(set(jobs(service)) - before) == 3

    page.locator("#forget").click()
    expect(page.locator("[data-live]")).to_have_text("All forgotten, here and at the service.")

    assert set(jobs(service)) <= before
    expect(page.locator("[data-frame]")).to_be_hidden()
    page.reload()
    expect(page.locator("#model")).to_contain_text("demo")
    expect(page.locator("#history")).to_be_hidden()


def jobs(service: RunningService) -> list[str]:
    """The newest ones at the service."""
    return [job["id"] for job in service.client.get("/v1/jobs", params={"limit": 100}).json()["data"]]
