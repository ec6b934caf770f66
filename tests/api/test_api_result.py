"""A picture as a file of the web: its tag and age, parts of it, its headers alone, and the job object in its place."""

import email.parser
import hashlib
import re
from typing import Any

import httpx
import pytest

from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge


@pytest.fixture
def url(edge: Edge) -> str:
    """Of a picture that is there."""
    return edge.client.post("/v1/jobs", json=GOOD_BODY).json()["urls"]["result"]


@pytest.fixture
def content(edge: Edge, url: str) -> bytes:
    return edge.blobs.content[f"out/{url.split('/')[3]}.1"]


def tag_of(content: bytes) -> str:
    return f'"sha256-{hashlib.sha256(content).hexdigest()}"'


def parts_of(response: httpx.Response) -> list[tuple[Any, ...]]:
    """Type, range and bytes of each part, as a parser of mail reads them."""
    head = f"Content-Type: {response.headers['content-type']}\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + response.content)
    assert not message.defects
    return [(part.get_content_type(), part["content-range"], part.get_payload(decode=True)) for part in message.walk()][
        1:
    ]


def test_picture_when_fetched_then_it_may_be_kept_until_it_expires(edge: Edge, url: str, content: bytes) -> None:
    response = edge.client.get(url)

    assert response.headers["etag"] == tag_of(content)
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["vary"] == "Accept"
    match = re.fullmatch(r"private, max-age=(\d+), immutable", response.headers["cache-control"])
    assert match
    assert 3000 < int(match[1]) <= 3600


def test_generate_when_a_picture_is_answered_then_it_has_the_tag_of_the_result(edge: Edge) -> None:
    made = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"Range": "bytes=0-3", "If-None-Match": "*"})

    again = edge.client.get(made.headers["content-location"], headers={"If-None-Match": made.headers["etag"]})

    assert (made.status_code, made.headers["etag"]) == (200, tag_of(made.content))
    assert made.headers["cache-control"].endswith("immutable")
    assert made.headers["accept-ranges"] == "bytes"
    assert again.status_code == 304


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_picture_when_the_client_has_it_then_304_without_bytes(
    edge: Edge, url: str, content: bytes, method: str
) -> None:
    headers = {"If-None-Match": f'"other", W/{tag_of(content)}', "Range": "bytes=0-3"}

    response = edge.client.request(method, url, headers=headers)

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == tag_of(content)
    assert "immutable" in response.headers["cache-control"]


def test_picture_when_the_client_has_another_one_then_all_of_it(edge: Edge, url: str, content: bytes) -> None:
    response = edge.client.get(url, headers={"If-None-Match": tag_of(b"other")})

    assert (response.status_code, response.content) == (200, content)


def test_picture_when_one_range_is_asked_for_then_206_with_these_bytes(edge: Edge, url: str, content: bytes) -> None:
    response = edge.client.get(url, headers={"Range": "bytes=2-5", "If-Range": tag_of(content)})

    assert (response.status_code, response.content) == (206, content[2:6])
    assert response.headers["content-range"] == f"bytes 2-5/{len(content)}"
    assert response.headers["content-type"] == "image/png"
    assert response.headers["etag"] == tag_of(content)


def test_picture_when_several_ranges_are_asked_for_then_206_in_parts(edge: Edge, url: str, content: bytes) -> None:
    response = edge.client.get(url, headers={"Range": "bytes=0-3,8-9,-4"})

    length = len(content)
    assert response.status_code == 206
    assert response.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert "content-range" not in response.headers
    assert parts_of(response) == [
        ("image/png", f"bytes 0-3/{length}", content[:4]),
        ("image/png", f"bytes 8-9/{length}", content[8:10]),
        ("image/png", f"bytes {length - 4}-{length - 1}/{length}", content[-4:]),
    ]


@pytest.mark.parametrize("ranges", ["bytes=1000000-", "bytes=0-0,2-2,4-4,6-6,8-8,10-10"])
def test_picture_when_no_range_is_there_or_too_many_then_416_and_the_length(
    edge: Edge, url: str, content: bytes, ranges: str
) -> None:
    response = edge.client.get(url, headers={"Range": ranges})

    assert (response.status_code, response.json()["code"]) == (416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(content)}"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["retryable"] is False


@pytest.mark.parametrize("headers", [{"Range": "bytes=x"}, {"Range": "bytes=0-3", "If-Range": '"other"'}])
def test_picture_when_a_range_does_not_hold_then_all_of_it(
    edge: Edge, url: str, content: bytes, headers: dict[str, str]
) -> None:
    response = edge.client.get(url, headers=headers)

    assert (response.status_code, response.content) == (200, content)


def test_picture_when_only_its_headers_are_asked_for_then_those_of_the_whole(edge: Edge, url: str) -> None:
    whole = edge.client.get(url)

    response = edge.client.head(url, headers={"Range": "bytes=0-3"})

    assert (response.status_code, response.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "accept-ranges", "x-xmdpt-seed"):
        assert response.headers[name] == whole.headers[name]


@pytest.mark.parametrize("index", ["1", "-1", "00", "x", ""])
def test_picture_when_the_index_is_another_then_404(edge: Edge, url: str, index: str) -> None:
    first, other = edge.client.get(url, params={"index": "0"}), edge.client.get(url, params={"index": index})

    assert first.status_code == 200
    assert (other.status_code, other.json()["code"]) == (404, "not_found")


def test_result_when_json_is_accepted_then_the_job_object(edge: Edge, url: str) -> None:
    response = edge.client.get(url, headers={"Accept": "application/json"})

    job_url = url.removesuffix("/result")
    assert response.json() == edge.client.get(job_url).json()
    assert (response.status_code, response.headers["content-location"]) == (200, job_url)
    assert response.headers["vary"] == "Accept"
    assert "etag" not in response.headers


@pytest.mark.parametrize(
    ("accept", "status"), [("image/png", 200), ("image/*", 200), ("image/webp", 406), ("text/html", 406)]
)
def test_result_when_a_type_is_accepted_then_the_stored_one_or_406(
    edge: Edge, url: str, accept: str, status: int
) -> None:
    response = edge.client.get(url, headers={"Accept": accept})

    assert response.status_code == status
    assert status == 200 or response.json()["code"] == "not_acceptable"
