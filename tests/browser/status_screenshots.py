"""`python -m tests.browser.status_screenshots FOLDER`: the pictures of the status page in the documentation.

A worker that simulates the speed of a GPU, and is called so on the page, serves two minutes of jobs that come in waves.
"""

import random
import sys
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

from tests.browser.conftest import CHROMIUM, PHONE, SWITCHES, visiting
from tests.integration.processes import EXAMPLES, running_service

SETTINGS = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "24",
    "XMDPT_SIMULATED__ROW_MS": "1.5",
    "XMDPT_WORKER__CALIBRATION_SECONDS": "3",
}
DESKTOP: ViewportSize = {"width": 1280, "height": 1056}
SECONDS = 126
NUM_COMMON, NUM_RARE = 24, 40
SEED = 7


def main(folder: Path) -> None:
    """Write status.png and status_phone.png into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        running_service(Path(temporary), **SETTINGS) as service,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        address = str(service.client.base_url)
        with visiting(browser, address, DESKTOP) as desk, visiting(browser, address, PHONE, is_dark=True) as phone:
            for visit in (desk, phone):
                visit.page.goto("/status")
            is_over = threading.Event()
            load = threading.Thread(target=send_waves, args=(address, is_over))
            load.start()
            try:
                # Time passes for the pages, too.
                desk.page.wait_for_timeout(1000 * SECONDS)
                save(desk.page.screenshot(), folder / "status.png")
                save(phone.page.screenshot(), folder / "status_phone.png")
            finally:
                is_over.set()
                load.join()
        browser.close()


def send_waves(address: str, is_over: threading.Event) -> None:
    """Jobs at random moments, of random steps, some of them of the class `batch`; three waves of them a minute."""
    draw, start = random.Random(SEED), time.monotonic()
    with httpx.Client(base_url=address, timeout=30) as client:
        photo = (EXAMPLES / "person.png").read_bytes()
        source = client.post("/v1/sources", files={"source": photo}).raise_for_status().json()["id"]
        while not is_over.is_set():
            is_high = (time.monotonic() - start) % 20 < 8
            body = {
                "source": {"id": source},
                "pose": {"preset": draw.choice(["walking", "standing"])},
                "steps": draw.choice([25, 50, 50, 100]),
                "priority": draw.choice(["interactive", "interactive", "batch"]),
                "seed": draw.randrange(1000),
            }
            client.post("/v1/jobs", json=body).raise_for_status()
            is_over.wait(draw.expovariate(9 if is_high else 1.5))


def save(png: bytes, path: Path) -> None:
    """With few colours, as it is kept in the repository: those of the large areas exactly, and those that stand out."""
    with Image.open(BytesIO(png)) as image:
        colours = image.convert("RGB")
    by_area = sorted(colours.getcolors(colours.width * colours.height) or [], reverse=True)
    common = [part for _, colour in by_area[:NUM_COMMON] for part in colour]
    rare = colours.quantize(NUM_RARE, Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*common, *rare[: 3 * NUM_RARE]])
    colours.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
