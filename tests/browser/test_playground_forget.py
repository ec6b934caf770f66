"""What the playground keeps, here and at the service, and how it is forgotten."""

import json
import re
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.browser.conftest import CHROMIUM, Visit
from tests.browser.playground_page import begin, drop, generate, open_playground, preset, set_steps, wait_for
from tests.integration.processes import EXAMPLES, RunningService

HOUR_MS = 3_600_000
ALL_FORGOTTEN = "All forgotten, here and at the service."


@pytest.fixture
def page(visit: Visit) -> Page:
    return open_playground(visit.page)


def new_photo() -> bytes:
    """A photo that the service can't have."""
    pixels = np.random.default_rng(uuid4().int).integers(0, 256, (32, 22, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def choose(page: Page, photo: bytes) -> None:
    name = f"{uuid4().hex}.png"
    file: FilePayload = {"name": name, "mimeType": "image/png", "buffer": photo}
    page.locator("#photo input[type=file]").set_input_files(file)
    expect(page.locator("#photo [data-name]")).to_have_text(name)


def sent_sources(page: Page) -> list[str]:
    """Addresses of the photos that the page is going to upload."""
    found: list[str] = []
    page.on(
        "response",
        lambda response: (
            found.append(f"/v1/sources/{response.json()['id']}") if response.url.endswith("/v1/sources") else None
        ),
    )
    return found


def status(service: RunningService, address: str) -> int:
    return service.client.get(address).status_code


def forget(page: Page) -> None:
    page.locator("#forget").click()
    expect(page.locator("[data-live]")).to_have_text(ALL_FORGOTTEN)


def kept(page: Page, *takes: dict[str, object]) -> set[str]:
    """Put these takes into the browser's storage; ids of all that are there then."""
    ids = page.evaluate(
        """async (takes) => {
          const promised = (request) => new Promise((resolve, reject) => {
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          });
          const base = await promised(indexedDB.open("xmdpt-playground", 1));
          const store = base.transaction("takes", "readwrite").objectStore("takes");
          for (const { age, ...take } of takes) await promised(store.put({ ...take, at: Date.now() - age }));
          const ids = await promised(store.getAllKeys());
          base.close();
          return ids;
        }""",
        list(takes),
    )
    return set(ids)


def test_forget_when_the_service_is_out_of_reach_then_all_stays_and_the_next_try_by_keyboard_ends_it(
    page: Page, visit: Visit
) -> None:
    choose(page, new_photo())
    generate(page)
    visit.context.set_offline(True)
    page.locator("#forget").click()

    expect(page.locator("#picture [data-error]")).to_have_text(
        re.compile(r"^Not forgotten: 1 entry and 1 uploaded file\. The server can't be reached")
    )
    expect(page.locator("#history li")).to_have_count(1)
    expect(page.locator("[data-live]")).not_to_have_text(ALL_FORGOTTEN)
    visit.context.set_offline(False)
    page.locator("#forget").press("Enter")
    expect(page.locator("[data-live]")).to_have_text(ALL_FORGOTTEN)
    expect(page.locator("#history")).to_be_hidden()
    expect(page.locator("#picture [data-error]")).to_be_empty()
    expect(page.locator("#go")).to_be_focused()


def test_forget_when_a_job_is_gone_already_then_it_counts_as_done(page: Page, service: RunningService) -> None:
    with page.expect_response("**/v1/jobs") as accepted:
        generate(page)
    assert service.client.delete(f"/v1/jobs/{accepted.value.json()['id']}").status_code == 204

    forget(page)

    expect(page.locator("#history")).to_be_hidden()


@pytest.mark.parametrize(("is_kept_before", "then"), [(False, 404), (True, 200)])
def test_forget_when_the_service_had_the_photo_before_then_it_stays_and_else_it_goes(
    page: Page, service: RunningService, is_kept_before: bool, then: int
) -> None:
    photo = new_photo()
    if is_kept_before:
        assert service.client.post("/v1/sources", files={"source": photo}).status_code == 201
    addresses = sent_sources(page)
    choose(page, photo)
    generate(page)

    forget(page)

    assert [status(service, each) for each in addresses] == [then]


def test_forget_when_a_photo_s_job_was_refused_then_the_photo_goes_too(page: Page, service: RunningService) -> None:
    drawing = service.client.get("/v1/poses/presets/walking/image").content
    file: FilePayload = {"name": "drawn.png", "mimeType": "image/png", "buffer": drawing}
    with page.expect_response("**/v1/poses") as made:
        page.locator("[data-from=file]").set_input_files(file)
        expect(page.locator("[data-drawing]")).to_be_visible()
    service.client.delete(f"/v1/poses/{made.value.json()['id']}")
    addresses = sent_sources(page)
    choose(page, new_photo())
    page.locator("#go").click()
    expect(page.locator("#pose [data-error]")).not_to_be_empty()
    while not addresses:
        # The photo goes up beside the pose, and may be there later.
        page.wait_for_timeout(20)
    assert [status(service, each) for each in addresses] == [200]
    preset(page, "back").click()
    choose(page, new_photo())
    generate(page)

    forget(page)

    assert [status(service, each) for each in addresses] == [404, 404]


def test_forget_when_a_take_runs_then_its_photo_goes_when_that_has_ended_and_focus_is_kept(
    page: Page, service: RunningService
) -> None:
    addresses = sent_sources(page)
    choose(page, new_photo())
    set_steps(page, 250)
    page.locator("[name=pictures]").fill("8")
    begin(page)
    expect(page.locator("[data-live]")).to_contain_text("Begun")

    page.locator("#forget").click()
    expect(page.locator("[data-live]")).to_contain_text("All but what is being made")
    during = [status(service, each) for each in addresses]
    page.locator("#stop").press("Enter")
    wait_for(page, "cancelled")

    assert during == [200]
    assert [status(service, each) for each in addresses] == [404]
    expect(page.locator("#history li")).to_have_count(1)
    expect(page.locator("#go")).to_be_focused()


def test_pose_when_its_key_points_are_read_then_the_service_keeps_it_no_more(
    page: Page, service: RunningService
) -> None:
    pose = json.loads((EXAMPLES / "pose.json").read_text())
    pose["keypoints"][0][0] += float(np.random.default_rng(uuid4().int).random())
    erased = re.compile(r"/v1/poses/[^/]+$")

    with page.expect_response(lambda each: each.request.method == "DELETE" and bool(erased.search(each.url))) as answer:
        drop(page, "#pose", "mine.json", "application/json", list(json.dumps(pose).encode()))

    assert answer.value.status == 204
    assert status(service, erased.findall(answer.value.url)[0]) == 404


def test_forget_when_another_tab_has_made_something_then_that_is_forgotten_too(
    page: Page, visit: Visit, service: RunningService
) -> None:
    other = open_playground(visit.context.new_page())
    with other.expect_response("**/v1/jobs") as accepted:
        generate(other)
    generate(page)

    forget(page)

    assert status(service, f"/v1/jobs/{accepted.value.json()['id']}") == 404
    assert kept(page) == set()
    other.reload()
    expect(other.locator("#model")).to_contain_text("demo")
    expect(other.locator("#history")).to_be_hidden()


def test_takes_when_the_page_is_opened_then_those_of_a_day_ago_and_of_closed_tabs_are_cleared(
    page: Page, visit: Visit
) -> None:
    other = open_playground(visit.context.new_page())
    own, others = (each.evaluate("sessionStorage.getItem('xmdpt-visit')") for each in (page, other))
    kept(
        page,
        {"id": "own-old", "visit": own, "age": 25 * HOUR_MS},
        {"id": "open", "visit": others, "age": 2 * HOUR_MS},
        {"id": "open-old", "visit": others, "age": 25 * HOUR_MS},
        {"id": "closed", "visit": "closed", "age": 2 * HOUR_MS},
        {"id": "just-closed", "visit": "closed", "age": 1000},
    )
    page.reload()
    expect(page.locator("#model")).to_contain_text("demo")
    # The page clears a moment later.
    for _ in range(100):
        if len(left := kept(page)) == 2:
            break
        page.wait_for_timeout(100)

    assert left == {"open", "just-closed"}


def test_page_when_the_browser_blocks_storage_then_it_works_all_the_same(
    browser: Browser, service: RunningService, tmp_path: Path
) -> None:
    profile = tmp_path / "Default"
    profile.mkdir()
    (profile / "Preferences").write_text('{"profile": {"default_content_setting_values": {"cookies": 2}}}')
    context = browser.browser_type.launch_persistent_context(
        tmp_path,
        executable_path=CHROMIUM,
        args=["--no-sandbox"],
        base_url=str(service.client.base_url),
    )
    try:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        open_playground(page)
        is_blocked = page.evaluate("() => { try { return !localStorage; } catch { return true; } }")

        page.locator("#theme-button").click()
        generate(page)
        forget(page)

        assert is_blocked
        assert errors == []
    finally:
        context.close()
