"""/docs: the description as a page, out of files of ours, that can load and call nothing but this gateway."""

import gzip
import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.api.app import bare_app
from service.bootstrap.access import shows_docs
from service.gateway.access import Access
from service.settings import GatewaySettings
from tests.api.conftest import Edge
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_keys import MemoryKeys
from tests.fakes.running_gateway import running_gateway

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "service" / "api" / "swagger_ui"
# Of the npm package swagger-ui-dist 5.35.0.
BUNDLE = "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2"
STYLE = "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d"
PARTS = ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js"]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Of a gateway that needs keys; the client has none."""
    with running_gateway(FakeIntake(), MemoryBlobs(), access=Access(MemoryKeys()), has_docs=True) as gateway:
        yield gateway.client


def test_page_when_opened_then_all_that_it_loads_is_there_and_nobody_elses(client: httpx.Client) -> None:
    page = client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    policy = dict(directive.split(" ", 1) for directive in page.headers["content-security-policy"].split("; "))

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert [f"/{name}" for name in loaded if name != "data:,"] == PARTS
    for name in PARTS:
        assert client.get(name).status_code == httpx.codes.OK
    assert policy.pop("default-src") == "'none'"
    assert {value for name, value in policy.items() if name.endswith("-src")} == {"'self'", "'self' data: blob:"}
    assert client.get("/openapi.json").status_code == httpx.codes.OK


@pytest.mark.parametrize("name", PARTS)
def test_page_when_its_parts_are_read_then_none_loads_from_another_host(client: httpx.Client, name: str) -> None:
    text = client.get(name).text
    # What a style sheet would load, and what the page tells the program to fetch; the program's own
    # addresses are links and names of standards, and the policy forbids to load them.
    loads = re.findall(r"url\(\s*['\"]?(?:https?:)?//|@import", text) if name.endswith(".css") else []

    assert loads == []
    if name.endswith("start.js"):
        assert "://" not in text
        assert "validatorUrl: null" in text


@pytest.mark.parametrize(
    ("name", "digest"), [("swagger-ui-bundle.js", BUNDLE), ("swagger-ui.css", STYLE)], ids=["script", "style"]
)
@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [("gzip, br", True), ("identity", False), ("gzip;q=0", False), ("br, gzip; q=0.5", True)],
)
def test_part_when_it_is_large_then_it_is_sent_as_it_is_kept_if_the_client_takes_that(
    client: httpx.Client, name: str, digest: str, accepted: str, is_compressed: bool
) -> None:
    with client.stream("GET", f"/docs/{name}", headers={"Accept-Encoding": accepted}) as answer:
        sent = b"".join(answer.iter_raw())

    assert (answer.headers.get("content-encoding") == "gzip") is is_compressed
    content = gzip.decompress(sent) if is_compressed else sent
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize("name", ["page.html", "swagger-ui.css.gz", "..%2fapp.py", "LICENSES.txt"])
def test_part_when_the_page_does_not_load_it_then_it_is_not_found(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/docs/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_page_when_it_is_off_then_there_is_none(edge: Edge) -> None:
    for path in ("/docs", *PARTS):
        assert edge.client.get(path).status_code == httpx.codes.NOT_FOUND


def test_description_when_read_then_the_page_can_authorize() -> None:
    document = bare_app().openapi()

    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert not [path for path in document["paths"] if path.startswith("/docs")]


@pytest.mark.parametrize(
    ("docs", "host", "needs_keys", "is_shown"),
    [
        ("auto", "127.0.0.1", False, True),
        ("auto", "::1", False, True),
        ("auto", "127.0.0.1", True, False),
        ("auto", "0.0.0.0", False, False),
        ("on", "0.0.0.0", True, True),
        ("off", "127.0.0.1", False, False),
    ],
)
def test_docs_when_nothing_is_said_then_they_are_for_this_computer_alone(
    docs: str, host: str, needs_keys: bool, is_shown: bool
) -> None:
    assert shows_docs(GatewaySettings(docs=docs, host=host), needs_keys=needs_keys) is is_shown  # type: ignore[arg-type]


def test_package_when_built_then_it_brings_the_page_and_its_licences() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert "api/swagger_ui/*" in project["tool"]["setuptools"]["package-data"]["service"]
    assert {path.name for path in FOLDER.iterdir()} == {
        *("LICENSES.txt", "page.html", "start.js", "swagger-ui-bundle.js.gz", "swagger-ui.css.gz"),
    }
    assert "swagger-ui-dist 5.35.0" in (ROOT / "NOTICE").read_text()
