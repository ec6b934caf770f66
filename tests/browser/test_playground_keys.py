"""The playground where keys are needed: it asks for one, says when it is wrong, uses it, and forgets it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, visiting
from tests.browser.playground_page import generate
from tests.integration.processes import RunningService, running_service, serve

# Opening the page takes two, the photo the third.
FEW = 3


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that wants keys; pictures are squares, which is enough here."""
    with running_service(
        tmp_path_factory.mktemp("guarded"), XMDPT_BACKEND="simulated", XMDPT_GATEWAY__AUTH="keys"
    ) as running:
        yield running


def new_key(service: RunningService, tenant: str, *words: str) -> str:
    made = serve("keys", "create", "--tenant", tenant, *words, XMDPT_DATA_DIR=str(service.data_dir))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture
def page(browser: Browser, guarded: RunningService) -> Iterator[Page]:
    with visiting(browser, str(guarded.client.base_url), DESKTOP) as visit:
        yield visit.page


def answer(page: Page, key: str) -> None:
    """Of the dialog, which must be open."""
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()


def test_key_when_wrong_and_then_right_then_pictures_and_previews_come(page: Page, guarded: RunningService) -> None:
    page.goto("/playground")
    message = page.locator("#key-dialog [data-message]")

    expect(message).to_have_text("This server wants an API key. It is kept in this tab until you close it.")
    answer(page, "xmdpt_12345678_" + "x" * 43)
    expect(message).to_have_text("This key is not valid, or no longer. Check it and try again.")
    answer(page, new_key(guarded, "ada"))
    expect(page.locator("#key-dialog")).to_be_hidden()
    expect(page.locator("[data-presets] button").first).to_be_visible()
    page.get_by_label("Several", exact=True).check()
    generate(page)

    page.locator("#code").click()
    expect(page.locator("[data-code=curl]")).to_contain_text('-H "Authorization: Bearer $XMDPT_API_KEY"')
    expect(page.locator("[data-code=python]")).to_contain_text('os.environ["XMDPT_API_KEY"]')
    assert "xmdpt_" not in page.locator("#code-dialog").inner_text().replace("xmdpt_client", "")


def test_key_when_no_header_can_carry_it_then_a_sentence_says_so_and_another_one_is_used(
    page: Page, guarded: RunningService
) -> None:
    page.goto("/playground")
    answer(page, "xmdpt_ключ")

    expect(page.locator("#key-dialog [data-message]")).to_contain_text("A key has only ASCII letters")
    answer(page, new_key(guarded, "ida"))
    expect(page.locator("#model")).to_contain_text("simulated")


def test_key_when_the_one_in_the_tab_is_unusable_then_the_page_asks_as_without_one(page: Page) -> None:
    page.goto("/playground")
    page.evaluate("sessionStorage.setItem('xmdpt-key', 'ключ')")
    page.reload()

    expect(page.locator("#key-dialog [data-message]")).to_contain_text("This server wants an API key.")


def test_key_when_not_given_then_the_page_says_why_it_can_do_nothing_until_there_is_one(
    page: Page, guarded: RunningService
) -> None:
    page.goto("/playground")
    page.locator("#key-dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("#pose [data-error]")).to_contain_text("key")
    for mode in ("Several", "Morph", "One"):
        page.get_by_label(mode, exact=True).check()

    page.locator("#go").click()
    expect(page.locator("#pose [data-error]")).to_have_text("There is no pose yet.")
    page.locator("#key-button").click()
    answer(page, new_key(guarded, "eve"))
    expect(page.locator("#model")).to_contain_text("simulated")
    generate(page)
    page.locator("#key-button").click()
    answer(page, "")

    # What is asked for next wants a key again.
    expect(page.locator("#key-dialog [data-message]")).to_contain_text("This server wants an API key.")


def test_calls_when_there_are_too_many_then_the_page_says_when_to_try_again(
    page: Page, guarded: RunningService
) -> None:
    key = new_key(guarded, "ben", "--requests-per-minute", "1", "--burst", str(FEW))
    page.goto("/playground")
    answer(page, key)
    expect(page.locator("#model")).to_contain_text("simulated")

    page.locator("#go").click()
    expect(page.locator("#picture [data-error]")).to_contain_text("Try again in ")
