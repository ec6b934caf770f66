"""/playground and /status over HTTP: their files, what they may load, and that they need no key."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.gateway.access import Access
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_keys import MemoryKeys
from tests.fakes.running_gateway import running_gateway

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "service" / "api" / "pages"
PAGES = ["/playground", "/status"]
# What a browser would load from somewhere else: a fetch, an import, a style's picture, an element's source.
_ELSEWHERE = re.compile(r"""(?:src|href|url\(|import|fetch\()\s*[=(]?\s*['"]?(?:https?:)?//(?!www\.w3\.org/2000/svg)""")


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Of a gateway that needs keys; the client has none."""
    with running_gateway(FakeIntake(), MemoryBlobs(), access=Access(MemoryKeys())) as gateway:
        yield gateway.client


@pytest.mark.parametrize("path", PAGES)
def test_page_when_opened_without_a_key_then_it_and_all_that_it_loads_is_there(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    loaded = re.findall(r'(?:src|href)="(/pages/[^"]+)"', page.text)
    answers = [client.get(name) for name in loaded]

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert len(loaded) >= 4
    assert [answer.status_code for answer in answers] == [200] * len(loaded)


def test_parts_when_they_import_each_other_then_all_are_there(client: httpx.Client) -> None:
    for path in FOLDER.rglob("*.js"):
        for name in re.findall(r'^import[^"]*"([^"]+)"|^} from "([^"]+)"', path.read_text(), re.M):
            address = (path.parent / (name[0] or name[1])).resolve().relative_to(FOLDER)
            assert client.get(f"/pages/{address}").status_code == httpx.codes.OK, f"{path.name} imports {name}"


def test_parts_when_read_then_none_loads_from_another_host() -> None:
    texts = {path: path.read_text() for path in FOLDER.rglob("*") if path.suffix in (".html", ".css", ".js", ".svg")}

    assert len(texts) >= 8
    assert [path.name for path, text in texts.items() if _ELSEWHERE.search(text)] == []


@pytest.mark.parametrize(
    "name",
    ["playground/index.html", "vendor/LICENSES.txt", "vendor/uplot.js.gz", "no.js", "..%2fapp.py", "common/", ""],
)
def test_part_when_no_page_loads_it_then_it_is_not_found(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/pages/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_part_when_the_browser_has_it_then_it_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/pages/common/theme.css")
    again = client.get("/pages/common/theme.css", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_home_when_opened_then_it_leads_to_the_playground(client: httpx.Client) -> None:
    answer = client.get("/", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (302, "/playground")


@pytest.mark.parametrize("path", ["/", *PAGES, "/pages/common/theme.css"])
def test_pages_when_they_are_off_then_there_are_none(path: str) -> None:
    with running_gateway(FakeIntake(), MemoryBlobs(), has_pages=False) as gateway:
        answer = gateway.client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_package_when_built_then_it_brings_every_file_of_the_pages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["service"]
    covered = {path for pattern in patterns for path in (ROOT / "service").glob(pattern) if path.is_file()}

    assert {path for path in FOLDER.rglob("*") if path.is_file()} <= covered
    assert "uplot 1.6.32" in (ROOT / "NOTICE").read_text()
