"""A real browser before a real service; whatever a page asks of another host, or says is wrong, fails the test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.integration.processes import RunningService, running_service

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
_SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE_MS = 20_000
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@dataclass
class Visit:
    """A tab of its own, and what it did.

    Attributes:
        page: at the service's address: `page.goto("/playground")`.
        errors: what the page's programs failed with, and what it logged as an error, but for answers of the API.
        strangers: addresses of other hosts that it asked for something.
    """

    page: Page
    context: BrowserContext
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service with its shipped checkpoint, open to this computer without keys."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for a module: while it runs, its event loop keeps asynchronous tests from having theirs."""
    with chromium() as browser:
        yield browser


@pytest.fixture(params=[DESKTOP], ids=["desktop"])
def visit(request: pytest.FixtureRequest, browser: Browser, service: RunningService) -> Iterator[Visit]:
    """A visitor who has never been here; parametrize with `indirect` for another size."""
    with visiting(browser, str(service.client.base_url), request.param) as visit:
        yield visit


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, started and ended."""
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_SWITCHES))
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, address: str, size: ViewportSize, *, is_dark: bool = False) -> Iterator[Visit]:
    """A visit; at its end no error may have been seen, and no stranger asked."""
    is_phone = size == PHONE
    context = browser.new_context(
        base_url=address,
        viewport=size,
        has_touch=is_phone,
        is_mobile=is_phone,
        color_scheme="dark" if is_dark else "light",
    )
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()
    visit = Visit(page, context)

    def look_at_request(request: Request) -> None:
        if not request.url.startswith((address.rstrip("/") + "/", "data:", "blob:")):
            visit.strangers.append(request.url)

    def look_at_console(message: ConsoleMessage) -> None:
        # The browser itself logs every answer of 4xx or 5xx; what the page makes of it is the tests' business.
        if message.type == "error" and "Failed to load resource" not in message.text:
            visit.errors.append(message.text)

    page.on("request", look_at_request)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("console", look_at_console)
    try:
        yield visit
    finally:
        context.close()
    assert visit.strangers == []
    assert visit.errors == []
