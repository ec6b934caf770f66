"""What holds for every page: it can be used by everybody, by day and by night, on a desk and in a hand."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ViewportSize

from tests.browser.conftest import DESKTOP, PHONE, visiting
from tests.integration.processes import RunningService

PAGES = ["/playground", "/status"]
# axe-core's own words for what keeps people out.
_GRAVE = {"serious", "critical"}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_page_when_checked_by_axe_then_nothing_keeps_people_out(
    browser: Browser, service: RunningService, path: str, size: ViewportSize, is_dark: bool
) -> None:
    with visiting(browser, str(service.client.base_url), size, is_dark=is_dark) as visit:
        visit.page.goto(path, wait_until="networkidle")

        found = Axe().run(visit.page).response["violations"]
        width = visit.page.evaluate("document.documentElement.scrollWidth")

    assert [(each["id"], each["help"]) for each in found if each["impact"] in _GRAVE] == []
    assert width <= size["width"], "the page is wider than the screen"
