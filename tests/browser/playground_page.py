"""What a visitor does in the playground, in words that the tests share."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

GENERATION_MS = 60_000


def open_playground(page: Page) -> Page:
    """The page, once it knows the service's model and poses."""
    page.goto("/playground")
    expect(page.locator("[data-presets] button").first).to_be_visible()
    expect(page.locator("#model")).to_contain_text("demo")
    return page


def set_steps(page: Page, steps: int) -> None:
    page.locator("[name=steps]").fill(str(steps))


def generate(page: Page, steps: int = 4) -> None:
    """Press the button and wait for the pictures."""
    set_steps(page, steps)
    begin(page)
    wait_for(page, "succeeded")


def begin(page: Page) -> None:
    """Press the button; the service has accepted when this returns."""
    count = page.locator("#history li").count()
    page.locator("#go").click()
    expect(page.locator("#history li")).to_have_count(count + 1)


def wait_for(page: Page, status: str) -> None:
    """Until the take on screen has ended so."""
    expect(page.locator("#picture")).to_have_attribute("data-status", status, timeout=GENERATION_MS)
    expect(page.locator("#stop")).to_be_hidden()


def preset(page: Page, name: str) -> Locator:
    return page.locator("[data-presets]").get_by_role("button", name=name, exact=True)


def joint(page: Page, name: str) -> Locator:
    return page.locator("[data-editor]").get_by_role("slider", name=name, exact=True)


def place(page: Page, name: str) -> tuple[int, int]:
    """Where a joint is, as a screen reader tells it."""
    x, y = (joint(page, name).get_attribute("aria-valuetext") or "").removeprefix("x ").split(", y ")
    return int(x), int(y)


def middle(locator: Locator) -> tuple[float, float]:
    """Of what is on screen, in px of the window."""
    box = locator.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def saved(page: Page, folder: Path) -> tuple[str, Image.Image]:
    """What the download button gives: the file's name, and the picture in it."""
    with page.expect_download() as download:
        page.locator("[data-save]").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    image = Image.open(BytesIO(path.read_bytes()))
    assert image.format == "PNG"
    return path.name, image


def is_blank(image: Image.Image) -> bool:
    return float(np.asarray(image.convert("RGB"), dtype=np.float32).std()) < 5


def drop(page: Page, selector: str, name: str, kind: str, content: list[int] | int) -> None:
    """Drop a file, of these bytes or of so many, as the browser does it for a hand."""
    transfer = page.evaluate_handle(
        """([name, type, content]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(content)], name, { type }));
          return transfer;
        }""",
        [name, kind, content],
    )
    page.dispatch_event(selector, "drop", {"dataTransfer": transfer})
