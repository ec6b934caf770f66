"""Takes the pictures of the pages that the documentation shows: `python -m tests.browser.screenshots`."""

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.browser.conftest import DESKTOP, PHONE, chromium, visiting
from tests.browser.playground_page import generate, open_playground, preset
from tests.browser.status_screenshots import status_screens
from tests.integration.processes import ROOT, running_service

IMAGES = ROOT / "docs" / "images"
# Enough for a page whose photos are small; a palette makes the file a quarter of what it was.
NUM_COLOURS = 256
GAP_PX = 16
STEPS = 50


def main() -> None:
    """All pages, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", choices=list(PAGES), help="which; all if none")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service, chromium() as browser:
        for name in [arguments.page] if arguments.page else PAGES:
            PAGES[name](browser, str(service.client.base_url), arguments.out)


def playground(browser: Browser, address: str, folder: Path) -> None:
    """A desk by day and a phone by night, each with some pictures made."""
    with visiting(browser, address, DESKTOP) as visit:
        visit_playground(visit.page)
        save([screen(visit.page)], folder / "playground.png")
    with visiting(browser, address, PHONE, is_dark=True) as visit:
        visit_playground(visit.page)
        save([screen(visit.page, part) for part in ("pose", "picture")], folder / "playground_phone.png")


def visit_playground(page: Page) -> None:
    open_playground(page)
    page.get_by_role("button", name="Understood").click()
    page.locator("[name=seed]").fill("7")
    for example, pose in (
        ("Rendered person in a pink dress", "three quarter"),
        ("Rendered person in a white shirt", "back"),
        ("Rendered person in a blue blouse", "standing"),
    ):
        page.get_by_role("button", name=example).click()
        preset(page, pose).click()
        generate(page, STEPS)
    # Neither the pointer nor the focus is a part of the picture.
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollTo(0, 0)")


def screen(page: Page, part: str | None = None) -> Image.Image:
    """What the window shows, with the element of this id at its top."""
    if part:
        page.evaluate("id => document.getElementById(id).scrollIntoView()", part)
    page.wait_for_timeout(300)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def save(screens: list[Image.Image], path: Path) -> None:
    """The screens side by side, as a PNG file of few colours."""
    width, height = screens[0].size
    sheet = Image.new("RGB", (width * len(screens) + GAP_PX * (len(screens) - 1), height), "white")
    for index, each in enumerate(screens):
        sheet.paste(each, (index * (width + GAP_PX), 0))
    # The rare colours of the skeleton first, then those that most of the page has.
    few = sheet.quantize(NUM_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201 - what a command says


def status(browser: Browser, _address: str, folder: Path) -> None:
    """Of a service of its own, which has enough to do."""
    for name, content in zip(("status", "status_phone"), status_screens(browser), strict=True):
        save([Image.open(io.BytesIO(content)).convert("RGB")], folder / f"{name}.png")


PAGES: dict[str, Callable[[Browser, str, Path], None]] = {"playground": playground, "status": status}

if __name__ == "__main__":
    main()
