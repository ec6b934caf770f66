"""Signed addresses, with which a page shows a picture that needs a key: that picture for a while, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from service.domain.access import CallerLimits, Scope
from service.gateway.access import Access
from service.gateway.links import Links
from tests.api.bad_inputs import GOOD_BODY
from tests.fakes.event_stream import Stream
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_keys import MemoryKeys
from tests.fakes.running_gateway import RunningGateway, running_gateway

LIMITLESS = CallerLimits(1_000_000, 1_000_000, 1000)
PREVIEWS = {"preview": {"every_steps": 5}}


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Guarded:
    """A gateway that needs keys; addresses run out by a clock of ours."""

    gateway: RunningGateway
    intake: FakeIntake
    blobs: MemoryBlobs
    keys: MemoryKeys
    clock: Clock

    def get(self, url: str, key: str | None = None, **more: Any) -> httpx.Response:
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {key}"} if key else {})
        return self.gateway.client.request(more.pop("method", "GET"), url, headers=headers, **more)

    def a_job_of(self, key: str) -> dict[str, Any]:
        """The job object of a job with two pictures and a preview."""
        headers = {"Authorization": f"Bearer {key}"}
        body = GOOD_BODY | PREVIEWS | {"num_images": 2}
        job_id = self.gateway.client.post("/v1/jobs", json=body, headers=headers).raise_for_status().json()["id"]
        contents = [f"{index} of {job_id}".encode() for index in range(2)]
        for index, content in enumerate(contents):
            self.blobs.put_output(job_id, 1, content, index)
        self.blobs.put_preview(job_id, b"preview")
        self.intake.succeed(job_id, *contents)
        return self.get(f"/v1/jobs/{job_id}", key).json()


@pytest.fixture(scope="module")
def _guarded() -> Iterator[Guarded]:
    intake, blobs, keys, clock = FakeIntake(), MemoryBlobs(), MemoryKeys(), Clock()
    access = Access(keys, links=Links(b"s" * 32, clock))
    with running_gateway(intake, blobs, access=access) as gateway:
        yield Guarded(gateway, intake, blobs, keys, clock)


@pytest.fixture
def guarded(_guarded: Guarded) -> Guarded:
    _guarded.intake.clear()
    _guarded.blobs.clear()
    _guarded.clock.now = Clock.now
    return _guarded


@pytest.fixture
def ada(guarded: Guarded) -> str:
    return guarded.keys.add("adaadaad", "ada", limits=LIMITLESS)


@pytest.fixture
def job(guarded: Guarded, ada: str) -> dict[str, Any]:
    return guarded.a_job_of(ada)


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["www-authenticate"] == "Bearer"
    return response.status_code, response.json()["code"]


def test_link_when_it_comes_from_the_job_object_then_no_key_is_needed(guarded: Guarded, job: dict[str, Any]) -> None:
    first, second = (output["url"] for output in job["outputs"])

    assert guarded.get(first).content == f"0 of {job['id']}".encode()
    assert guarded.get(second).content == f"1 of {job['id']}".encode()
    assert guarded.get(job["urls"]["result"]).content == f"0 of {job['id']}".encode()
    assert guarded.get(job["urls"]["preview"]).content == b"preview"


def test_link_when_it_is_used_then_heads_ranges_and_tags_work_as_ever(guarded: Guarded, job: dict[str, Any]) -> None:
    url = job["outputs"][1]["url"]

    head = guarded.get(url, method="HEAD")
    part = guarded.get(url, headers={"Range": "bytes=0-0"})
    known = guarded.get(url, headers={"If-None-Match": head.headers["etag"]})

    assert (head.status_code, head.headers["content-length"]) == (200, str(len(f"1 of {job['id']}")))
    assert (part.status_code, part.content) == (206, b"1")
    assert known.status_code == 304


@pytest.mark.parametrize("where", ["list", "result", "cancel", "accepted"])
def test_link_when_a_job_object_is_given_out_then_it_holds_one_wherever_that_is(
    guarded: Guarded, ada: str, job: dict[str, Any], where: str
) -> None:
    headers = {"Authorization": f"Bearer {ada}"}
    client = guarded.gateway.client
    if where == "list":
        (view,) = client.get("/v1/jobs", headers=headers).json()["data"]
    elif where == "cancel":
        view = client.post(job["urls"]["cancel"], headers=headers).json()
    elif where == "result":
        view = client.get(f"/v1/jobs/{job['id']}/result", headers=headers | {"Accept": "application/json"}).json()
    else:
        view = client.post("/v1/jobs", json=GOOD_BODY | PREVIEWS, headers=headers).json()
    for url in (view["urls"]["result"], view["urls"]["preview"], *(output["url"] for output in view["outputs"])):
        assert "signature=" in url, url


def test_link_when_a_job_is_followed_then_its_events_hold_them(guarded: Guarded, ada: str) -> None:
    headers = {"Authorization": f"Bearer {ada}"}
    client = guarded.gateway.client
    urls = client.post("/v1/jobs", json=GOOD_BODY | PREVIEWS, headers=headers).json()["urls"]
    guarded.intake.run(urls["self"].rpartition("/")[2], step=5)
    guarded.blobs.put_preview(urls["self"].rpartition("/")[2], b"preview")

    with client.stream("GET", urls["events"], headers=headers) as response:
        stream = Stream(response)
        status, preview = stream.next(), stream.next_of("preview")

    assert status.data["urls"] == urls
    assert preview.data["url"] == urls["preview"]
    assert "signature=" in urls["preview"]


def test_link_when_its_time_is_over_then_401_says_so(guarded: Guarded, ada: str, job: dict[str, Any]) -> None:
    url = job["urls"]["result"]
    guarded.clock.now += 4000

    response = guarded.get(url)

    assert refusal(response) == (401, "unauthenticated")
    assert "time of this address is over" in response.json()["detail"]
    assert guarded.get(url, ada).status_code == 200, "a key opens it all the same"


@pytest.mark.parametrize(
    "change",
    [
        ("/result", "/preview"),
        ("index=1", "index=0"),
        ("index=1&", ""),
        ("index=1", "index=1&index=0"),
        ("expires=", "expires=1"),
        ("signature=", "signature=x"),
    ],
    ids="-".join,
)
def test_link_when_it_has_been_altered_then_401(guarded: Guarded, job: dict[str, Any], change: tuple[str, str]) -> None:
    url = job["outputs"][1]["url"]
    assert guarded.get(url).status_code == 200

    response = guarded.get(url.replace(*change))

    assert refusal(response) == (401, "unauthenticated")
    assert "signature" in response.json()["detail"]


def test_link_when_it_is_of_another_job_then_401_whoever_has_that(
    guarded: Guarded, ada: str, job: dict[str, Any]
) -> None:
    bob = guarded.keys.add("bobbobbo", "bob", limits=LIMITLESS)
    query = urlsplit(job["urls"]["result"]).query

    for other in (guarded.a_job_of(ada), guarded.a_job_of(bob), {"id": "job_" + "e" * 32}):
        assert refusal(guarded.get(f"/v1/jobs/{other['id']}/result?{query}")) == (401, "unauthenticated")


@pytest.mark.parametrize("path", ["", "/events", "/cancel"])
def test_link_when_it_is_used_elsewhere_then_the_key_is_missing(
    guarded: Guarded, job: dict[str, Any], path: str
) -> None:
    query = urlsplit(job["urls"]["result"]).query
    method = "POST" if path == "/cancel" else "GET"

    assert refusal(guarded.get(f"/v1/jobs/{job['id']}{path}?{query}", method=method)) == (401, "unauthenticated")


def test_link_when_the_job_has_been_erased_then_404(guarded: Guarded, ada: str, job: dict[str, Any]) -> None:
    assert guarded.get(job["urls"]["self"], ada, method="DELETE").status_code == 204

    for url in (job["urls"]["result"], job["urls"]["preview"]):
        response = guarded.get(url)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_link_when_the_picture_has_expired_then_410(guarded: Guarded, job: dict[str, Any]) -> None:
    guarded.intake.expire(job["id"])

    assert guarded.get(job["urls"]["result"]).status_code == 410


def test_link_when_it_is_good_then_a_bad_key_beside_it_does_no_harm(guarded: Guarded, job: dict[str, Any]) -> None:
    assert guarded.get(job["urls"]["result"], "nonsense").status_code == 200


def test_link_when_it_is_bad_then_the_key_decides(guarded: Guarded, ada: str, job: dict[str, Any]) -> None:
    bob = guarded.keys.add("bobbobbo", "bob", limits=LIMITLESS)
    no_reader = guarded.keys.add("noreader", "ada", frozenset({Scope.GENERATE}), LIMITLESS)
    url = job["urls"]["result"] + "x"

    assert guarded.get(url, ada).status_code == 200
    assert guarded.get(url, bob).status_code == 404
    assert guarded.get(url, no_reader).status_code == 403


@pytest.mark.parametrize("accept", ["application/json", "application/zip"])
def test_link_when_the_job_object_is_fetched_with_it_then_that_holds_no_newer_one(
    guarded: Guarded, job: dict[str, Any], accept: str
) -> None:
    response = guarded.get(job["urls"]["result"], headers={"Accept": accept})

    assert response.status_code == 200
    assert b"signature=" not in response.content
    assert f"/v1/jobs/{job['id']}/result".encode() in response.content


def test_link_when_it_is_used_too_often_then_429_for_this_job_alone(
    guarded: Guarded, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or one more may come 0.6 s after the first.
    monkeypatch.setattr("service.gateway.rates._MINUTE_SECONDS", 6000.0)
    job, other = guarded.a_job_of(ada), guarded.a_job_of(ada)

    answers = [guarded.get(job["urls"]["preview"]) for _ in range(21)]

    assert {answer.status_code for answer in answers[:-1]} == {200}
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "rate_limited")
    assert guarded.get(other["urls"]["preview"]).status_code == 200


def test_link_when_no_keys_are_needed_then_addresses_are_plain_and_a_signature_is_nothing() -> None:
    intake, blobs = FakeIntake(), MemoryBlobs()
    with running_gateway(intake, blobs) as gateway:
        job = gateway.client.post("/v1/jobs", json=GOOD_BODY | PREVIEWS).json()
        blobs.put_preview(job["id"], b"preview")

        assert job["urls"]["result"] == f"/v1/jobs/{job['id']}/result"
        assert gateway.client.get(job["urls"]["preview"] + "?expires=1&signature=x").content == b"preview"
