"""The status page in a browser: what happens to a deployment is seen there, and so is that nothing is known."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import DESKTOP, PHONE, Visit, visiting
from tests.integration.processes import EXAMPLES, RunningService, children, running_service, serve, wait_until

# Slow enough that jobs are seen to wait and to run.
SIMULATED = {"XMDPT_BACKEND": "simulated", "XMDPT_SIMULATED__STEP_MS": "60", "XMDPT_WORKER__MAX_SLOTS": "2"}
NUM_JOBS = 8
NUM_STEPS = 100
NONE_YET = re.compile("^0?$")
NOTHING = "\u2013"
_GRAVE = {"serious", "critical"}
CHARTS = ["queue-chart", "occupancy-chart", "latency-chart", "jobs-chart"]
# A worker that is gone counts as alive for 9 s; a page asks every 2 s.
PATIENCE_MS = 40_000


@pytest.fixture(scope="module")
def worked(service: RunningService) -> RunningService:
    """A service that has made some pictures, of both classes."""
    for job_id in submit(service, 2, priority="interactive") + submit(service, 2, priority="batch"):
        service.ended(job_id)
    return service


def submit(service: RunningService, number: int, **fields: object) -> list[str]:
    photo = (EXAMPLES / "person.png").read_bytes()
    data = {key: str(value) for key, value in ({"pose_preset": "walking", "steps": 4} | fields).items()}
    answers = [service.client.post("/v1/jobs", files={"source": photo}, data=data) for _ in range(number)]
    return [answer.raise_for_status().json()["id"] for answer in answers]


def figure(page: Page, name: str) -> str:
    return page.locator(f'[data-figure="{name}"]').inner_text().replace("\u00a0", " ")


def ink_of(page: Page, chart: str) -> int:
    """How many pixels of a chart have the colour of its first series."""
    return page.evaluate(
        """(id) => {
            const canvas = document.querySelector(`#${id} canvas`);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const swatch = getComputedStyle(document.querySelector(`#${id} .swatch`)).color.match(/\\d+/g).map(Number);
            let found = 0;
            for (let i = 0; i < data.length; i += 4) {
                if (data[i + 3] > 200 && swatch.every((part, j) => Math.abs(data[i + j] - part) < 12)) found += 1;
            }
            return found;
        }""",
        chart,
    )


def num_points(page: Page, chart: str) -> int:
    return int(page.locator(f"#{chart}").get_attribute("data-points") or 0)


def violations(page: Page) -> list[tuple[str, str]]:
    found = Axe().run(page).response["violations"]
    return [(each["id"], each["help"]) for each in found if each["impact"] in _GRAVE]


@contextmanager
def frozen_supervisor(service: RunningService) -> Iterator[None]:
    """Nobody starts again what dies meanwhile."""
    service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)


def test_page_when_jobs_come_and_processes_go_then_it_says_so_each_time(browser: Browser, tmp_path: Path) -> None:
    with (
        running_service(tmp_path, **SIMULATED) as service,
        visiting(browser, str(service.client.base_url), DESKTOP) as visit,
    ):
        page = visit.page
        page.goto("/status")
        says = page.locator("#headline")

        # Nothing has been done.
        expect(says).to_contain_text("All well: 1\u00a0worker, nothing waits", timeout=PATIENCE_MS)
        expect(says).to_have_attribute("data-level", "good")
        expect(page.locator("#jobs-chart .empty")).to_contain_text("No job has ended yet")
        assert [figure(page, name) for name in ("waiting", "wait", "workers", "rows", "rate")] == [
            "0",
            NOTHING,
            "1",
            NOTHING,
            "0",
        ]
        assert (num_points(page, "jobs-chart"), ink_of(page, "jobs-chart")) == (0, 0)

        # Jobs come, wait, and end.
        jobs = submit(service, NUM_JOBS, steps=NUM_STEPS)
        expect(says).to_contain_text("wait; a picture asked for now takes about", timeout=PATIENCE_MS)
        expect(says).to_have_attribute("data-level", "busy")
        expect(page.locator("#workers")).to_contain_text("makes 2\u00a0pictures", timeout=PATIENCE_MS)
        for job_id in jobs:
            service.ended(job_id)
        expect(page.locator("#jobs-chart")).to_have_attribute("data-points", str(NUM_JOBS), timeout=PATIENCE_MS)
        expect(page.locator("#workers")).to_contain_text("idle", timeout=PATIENCE_MS)
        expect(page.locator('#workers td[data-name="Pictures"]')).to_have_text(str(NUM_JOBS), timeout=PATIENCE_MS)
        assert figure(page, "rate") == str(NUM_JOBS)
        assert all(ink_of(page, chart) > 0 for chart in CHARTS)
        expect(page.locator("#jobs-chart .empty")).to_be_hidden()

        # The worker goes, then the gateway; both come back.
        trouble = page.locator("#trouble")
        with frozen_supervisor(service):
            os.kill(service.child("worker"), signal.SIGKILL)
            expect(says).to_contain_text("No worker is alive: jobs wait until one comes", timeout=PATIENCE_MS)
            expect(says).to_have_attribute("data-level", "bad")
            expect(page.locator("#announcement")).to_contain_text("No worker is alive")
            expect(page.locator("#no-workers")).to_be_visible()
            os.kill(service.child("gateway"), signal.SIGKILL)
            expect(trouble).to_contain_text("The server can't be reached", timeout=PATIENCE_MS)
            expect(trouble).to_contain_text("Shown is what was known at")
            expect(says).to_have_attribute("data-level", "unknown")
            assert page.locator("#fresh").evaluate("(it) => getComputedStyle(it).filter") == "grayscale(1)"
            assert violations(page) == []
        expect(says).to_contain_text("All well: 1\u00a0worker", timeout=PATIENCE_MS)
        expect(trouble).to_be_hidden()
        assert page.locator("#fresh").evaluate("(it) => getComputedStyle(it).filter") == "none"


@pytest.mark.parametrize(("size", "is_dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone"])
def test_page_when_there_is_something_to_see_then_everybody_can_read_it(
    browser: Browser, worked: RunningService, size: ViewportSize, is_dark: bool
) -> None:
    with visiting(browser, str(worked.client.base_url), size, is_dark=is_dark) as visit:
        page = visit.page
        page.goto("/status")
        expect(page.locator("#jobs-chart")).not_to_have_attribute("data-points", NONE_YET, timeout=PATIENCE_MS)

        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        charts = page.locator("canvas")
        assert charts.count() == len(CHARTS)
        for index in range(len(CHARTS)):
            assert charts.nth(index).get_attribute("role") == "img"
            described_by = charts.nth(index).get_attribute("aria-describedby")
            assert page.locator(f"#{described_by}").text_content()
        words = page.locator("#jobs-chart [data-summary]").text_content() or ""
        assert "interactive jobs ended in the last 5 minutes" in words
        assert "batch jobs ended" in words


def test_charts_when_the_colours_change_then_they_follow(browser: Browser, worked: RunningService) -> None:
    with visiting(browser, str(worked.client.base_url), DESKTOP) as visit:
        page = visit.page
        page.goto("/status")
        expect(page.locator("#jobs-chart")).not_to_have_attribute("data-points", NONE_YET, timeout=PATIENCE_MS)
        by_day = page.locator("#jobs-chart .swatch").first.evaluate("(it) => getComputedStyle(it).color")

        page.locator("#theme-button").click()

        by_night = page.locator("#jobs-chart .swatch").first.evaluate("(it) => getComputedStyle(it).color")
        assert by_day != by_night
        assert ink_of(page, "jobs-chart") > 0


def test_charts_when_the_window_is_made_smaller_then_they_fit(browser: Browser, worked: RunningService) -> None:
    with visiting(browser, str(worked.client.base_url), DESKTOP) as visit:
        page = visit.page
        page.goto("/status")
        expect(page.locator("#jobs-chart")).not_to_have_attribute("data-points", NONE_YET, timeout=PATIENCE_MS)

        page.set_viewport_size(PHONE)

        page.wait_for_function("[...document.querySelectorAll('canvas')].every((it) => it.clientWidth < 390)")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_window_when_another_is_chosen_then_older_jobs_are_shown(browser: Browser, worked: RunningService) -> None:
    with visiting(browser, str(worked.client.base_url), DESKTOP) as visit:
        page = visit.page
        page.clock.install()
        page.goto("/status")
        chart = page.locator("#jobs-chart")
        expect(chart).not_to_have_attribute("data-points", NONE_YET, timeout=PATIENCE_MS)

        # The server is silent while the page's clock runs on.
        with frozen(worked):
            page.clock.fast_forward(6 * 60_000)
            page.get_by_role("button", name="15 min").click()
            expect(chart).to_have_attribute("data-points", re.compile(r"[4-9]|\d{2,}"))
            page.get_by_role("button", name="5 min", exact=True).click()
            expect(chart).to_have_attribute("data-points", "0")

        expect(chart.locator(".empty")).to_contain_text("No job has ended in the last 5 minutes")


@contextmanager
def frozen(service: RunningService) -> Iterator[None]:
    """A gateway that answers nothing."""
    gateway = service.child("gateway")
    family = [gateway, *children(gateway)]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)


def test_history_when_answers_overlap_then_each_job_is_known_once_and_for_an_hour(visit: Visit) -> None:
    visit.page.goto("/status")

    found = visit.page.evaluate(
        """async () => {
            const { History } = await import("/pages/status/history.js");
            const start = Date.UTC(2030, 0, 1);
            const moment = (second) => new Date(start + 1000 * second).toISOString();
            const answer = (second, ends) => ({
                as_of: moment(second),
                queue: { queued: 1, running: 2 }, slots: 4, in_flight: 3, batch_occupancy: null,
                latencies: ends.length
                    ? { batch: { recent_ms: ends.map((end) => 100 * end), recent_ended_at: ends.map(moment) } }
                    : {},
            });
            const history = new History();
            const known = () => history.endings.map((ending) => ending.ms / 100);
            const seen = [];
            for (const [second, ends] of [[9, [1, 2, 3]], [11, [2, 3, 4]], [40, [30, 31]], [3632, []]]) {
                history.add(answer(second, ends));
                seen.push(known());
            }
            return { seen, samples: history.samples.map((sample) => sample.waiting), slots: history.samples[0].slots };
        }"""
    )

    assert found["seen"] == [[1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 30, 31], []]
    # A minute, or an hour, of which nothing is known, is a hole in the lines.
    assert (found["samples"], found["slots"]) == ([1, None, 1], 0.75)


def test_history_when_jobs_end_then_p50_and_p95_are_those_of_the_last_fifty(visit: Visit) -> None:
    visit.page.goto("/status")

    last = visit.page.evaluate(
        """async () => {
            const { History } = await import("/pages/status/history.js");
            const times = Array.from({ length: 151 }, (_, index) => index);
            const ends = times.map((second) => new Date(Date.UTC(2030, 0, 1) + 1000 * second).toISOString());
            const history = new History();
            history.add({
                as_of: ends.at(-1), queue: {}, slots: 0, batch_occupancy: null,
                latencies: { interactive: { recent_ms: times, recent_ended_at: ends } },
            });
            return history.endings.at(-1);
        }"""
    )

    assert (last["ms"], last["p50"], last["p95"]) == (150, 125.5, pytest.approx(147.55))


@pytest.mark.parametrize(
    ("queued", "running", "workers", "wait_ms", "level", "text"),
    [
        (0, 0, 2, 0, "good", "All well: 2 workers, nothing waits"),
        (0, 1, 1, 0, "good", "All well: 1 worker, 1 job under way, nothing waits"),
        (1, 1, 1, 9, "busy", "1 job waits; a picture asked for now takes about 4.2 s"),
        (3, 0, 1, 9, "busy", "3 jobs wait; a picture asked for now takes about 4.2 s"),
        (3, 0, 1, 15_001, "bad", "3 jobs wait, and no worker takes any"),
        (0, 0, 0, 0, "bad", "No worker is alive: jobs wait until one comes"),
        (1, 0, 0, 9, "bad", "No worker is alive: 1 job waits until one comes"),
    ],
)
def test_headline_when_it_is_said_then_it_fits(
    visit: Visit, queued: int, running: int, workers: int, wait_ms: int, level: str, text: str
) -> None:
    visit.page.goto("/status")
    status = {
        "queue": {"queued": queued, "running": running, "oldest_wait_ms": wait_ms},
        "workers": [{}] * workers,
        "eta": {"p50_ms": 4210} if workers else None,
    }

    said = visit.page.evaluate("async (status) => (await import('/pages/status/headline.js')).headline(status)", status)

    assert (said["level"], said["text"].replace("\u00a0", " ")) == (level, text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1234, "1.2 s"),
        (9960, "10 s"),
        (42_300, "42 s"),
        (125_000, "2 min"),
        (9e6, "2.5 h"),
    ],
)
def test_duration_when_it_is_shown_then_it_has_a_fitting_unit(visit: Visit, ms: float, text: str) -> None:
    visit.page.goto("/status")

    said = visit.page.evaluate("async (ms) => (await import('/pages/status/format.js')).duration(ms)", ms)

    assert said.replace("\u00a0", " ") == text


def test_page_when_it_is_hidden_then_it_asks_nothing_until_it_is_seen(browser: Browser, worked: RunningService) -> None:
    with visiting(browser, str(worked.client.base_url), DESKTOP) as visit:
        page, asked = visit.page, list[str]()
        page.on("request", lambda request: asked.append(request.url) if "/v1/status" in request.url else None)
        page.clock.install()
        page.goto("/status")
        expect(page.locator("#headline")).to_have_attribute("data-level", "good", timeout=PATIENCE_MS)
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
        page.clock.run_for(3000)
        num_asked = len(asked)

        page.clock.run_for(60_000)

        assert len(asked) == num_asked
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        wait_until(lambda: page.evaluate("0") == 0 and len(asked) > num_asked, 20, "it asks")


def test_page_when_a_key_is_needed_then_it_asks_for_one_and_keeps_to_its_limits(
    browser: Browser, tmp_path: Path
) -> None:
    data = {"XMDPT_DATA_DIR": str(tmp_path / "data")}
    words = ("--requests-per-minute", "1", "--burst", "1")
    with running_service(tmp_path, **SIMULATED, XMDPT_GATEWAY__AUTH="keys") as service:
        key = serve("keys", "create", "--tenant", "ada", *words, **data).stdout.strip()
        with visiting(browser, str(service.client.base_url), DESKTOP) as visit:
            page, asked = visit.page, list[str]()
            page.on("request", lambda request: asked.append(request.url) if "/v1/status" in request.url else None)
            page.clock.install()
            page.goto("/status")
            dialog, trouble = page.locator("#key-dialog"), page.locator("#trouble")
            expect(dialog).to_be_visible(timeout=PATIENCE_MS)

            # The visitor would rather not, and then does.
            dialog.get_by_role("button", name="Cancel").click()
            expect(trouble).to_be_visible()
            # From here on the page asks when it is told to: nobody would see an answer that came before.
            page.clock.pause_at(page.evaluate("Date.now() / 1000 + 60"))
            page.get_by_role("button", name="Enter a key").click()
            page.clock.run_for(2000)
            dialog.get_by_label("Key").fill(key)
            dialog.get_by_role("button", name="Use this key").click()
            expect(page.locator("#headline")).to_have_attribute("data-level", "good", timeout=PATIENCE_MS)
            expect(trouble).to_be_hidden()

            # The next call is one too many: the page waits as long as it is told to.
            with page.expect_response("**/v1/status") as told:
                page.clock.run_for(2000)
            seconds = int(told.value.headers["retry-after"])
            expect(trouble).to_contain_text("Shown is what was known at")
            num_asked = len(asked)
            page.clock.run_for(900 * seconds)
            assert (told.value.status, len(asked)) == (429, num_asked)
            page.clock.run_for(100 * seconds)
            wait_until(lambda: page.evaluate("0") == 0 and len(asked) > num_asked, 20, "it asks again")
