"""The pictures of the status page: two minutes of jobs that come in waves, served at the simulated speed of a GPU.

`tests.browser.screenshots` takes them.
"""

import random
import tempfile
import threading
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, ViewportSize

from tests.browser.conftest import PHONE, visiting
from tests.integration.processes import EXAMPLES, running_service

# The page says "simulated".
_SETTINGS = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "24",
    "XMDPT_SIMULATED__ROW_MS": "1.5",
    "XMDPT_WORKER__CALIBRATION_SECONDS": "3",
}
_DESK: ViewportSize = {"width": 1280, "height": 1056}
_SECONDS = 126
_SEED = 7


def status_screens(browser: Browser) -> tuple[bytes, bytes]:
    """A desk by day and a phone by night, as PNG files."""
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder), **_SETTINGS) as service:
        address = str(service.client.base_url)
        with visiting(browser, address, _DESK) as desk, visiting(browser, address, PHONE, is_dark=True) as phone:
            for visit in (desk, phone):
                visit.page.goto("/status")
            is_over = threading.Event()
            load = threading.Thread(target=_send_waves, args=(address, is_over))
            load.start()
            try:
                # Time passes for the pages, too.
                desk.page.wait_for_timeout(1000 * _SECONDS)
                return desk.page.screenshot(), phone.page.screenshot()
            finally:
                is_over.set()
                load.join()


def _send_waves(address: str, is_over: threading.Event) -> None:
    """Jobs at random moments, of random steps, some of them of the class `batch`; three waves of them a minute."""
    draw, start = random.Random(_SEED), time.monotonic()
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
