"""Every route against every kind of caller; a route without a row in the table fails."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from service.api.app import bare_app
from service.domain.access import CallerLimits, Scope
from service.gateway.access import Access
from tests.api.bad_inputs import GOOD_BODY
from tests.api.test_api_connection import to_the_end
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.memory_keys import MemoryKeys
from tests.fakes.running_gateway import RunningGateway, running_gateway

OPEN = {
    "GET /livez",
    "GET /readyz",
    "GET /healthz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /problems/{code}",
}
# What each route needs, and whether its path names something of a tenant.
ROUTES = {
    "POST /v1/generate": (Scope.GENERATE, False),
    "POST /generate": (Scope.GENERATE, False),
    "POST /v1/jobs": (Scope.GENERATE, False),
    "GET /v1/jobs/{job_id}": (Scope.READ, True),
    "GET /v1/jobs": (Scope.READ, False),
    "GET /v1/jobs/{job_id}/events": (Scope.READ, True),
    "POST /v1/jobs/{job_id}/cancel": (Scope.GENERATE, True),
    "DELETE /v1/jobs/{job_id}": (Scope.GENERATE, True),
    "GET /v1/jobs/{job_id}/result": (Scope.READ, True),
    "HEAD /v1/jobs/{job_id}/result": (Scope.READ, True),
    "GET /v1/jobs/{job_id}/preview": (Scope.READ, True),
    "POST /v1/batches": (Scope.GENERATE, False),
    "GET /v1/batches/{batch_id}": (Scope.READ, True),
    "POST /v1/batches/{batch_id}/cancel": (Scope.GENERATE, True),
    "GET /v1/batches/{batch_id}/results": (Scope.READ, True),
    "GET /v1/models": (Scope.READ, False),
    "GET /v1/status": (Scope.READ, False),
    "POST /v1/sources": (Scope.GENERATE, False),
    "GET /v1/sources/{source_id}": (Scope.READ, True),
    "DELETE /v1/sources/{source_id}": (Scope.GENERATE, True),
    "POST /v1/poses": (Scope.GENERATE, False),
    "GET /v1/poses/{pose_id}": (Scope.READ, True),
    "DELETE /v1/poses/{pose_id}": (Scope.GENERATE, True),
    "GET /v1/poses/{pose_id}/image": (Scope.READ, True),
    "POST /v1/poses/between": (Scope.READ, False),
    "GET /v1/poses/presets": (Scope.READ, False),
    "GET /v1/poses/presets/{name}/image": (Scope.READ, False),
}
BODIES = {
    "/v1/sources": GOOD_BODY["source"],
    "/v1/poses": GOOD_BODY["pose"],
    "/v1/poses/between": {"from": {"preset": "back"}, "to": {"preset": "side"}, "count": 2},
    "/v1/batches": {"items": [GOOD_BODY]},
}
LIMITLESS = CallerLimits(1_000_000, 1_000_000, 1000)


@dataclass
class Guarded:
    """A gateway that needs keys, and those of two tenants."""

    gateway: RunningGateway
    intake: FakeIntake
    blobs: MemoryBlobs
    keys: MemoryKeys

    def call(self, route: str, key: str | None, thing_id: str = "", **more: object) -> httpx.Response:
        method, path = route.split(" ")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = {"json": BODIES.get(path, GOOD_BODY)} if method == "POST" and "{" not in path else {}
        ids = dict.fromkeys(("job_id", "batch_id", "source_id", "pose_id"), thing_id)
        return self.gateway.client.request(
            method, path.format(**ids, name="back", code="validation"), headers=headers, **body | more
        )  # pyright: ignore[reportArgumentType]

    def a_thing_of(self, key: str, route: str) -> str:
        """What the route's path can name."""
        folder = "/".join(route.split("/")[:3]).partition(" ")[2]
        if folder not in BODIES:
            return self.a_job_of(key)
        response = self.call(f"POST {folder}", key)
        assert response.is_success, response.text
        return response.json()["id"]

    def a_job_of(self, key: str) -> str:
        response = self.call("POST /v1/jobs", key)
        assert response.status_code == httpx.codes.ACCEPTED, response.text
        return response.json()["id"]


@pytest.fixture(scope="module")
def _guarded() -> Iterator[Guarded]:
    intake, blobs, keys = FakeIntake(), MemoryBlobs(), MemoryKeys()
    with running_gateway(intake, blobs, access=Access(keys)) as gateway:
        yield Guarded(gateway, intake, blobs, keys)


@pytest.fixture
def guarded(_guarded: Guarded) -> Guarded:
    _guarded.intake.clear()
    _guarded.blobs.clear()
    return _guarded


@pytest.fixture
def ada(guarded: Guarded) -> str:
    return guarded.keys.add("adaadaad", "ada", limits=LIMITLESS)


def problem(response: httpx.Response) -> dict:
    """The answer's problem; what HEAD leaves out is asked for by GET."""
    request = response.request
    if request.method != "HEAD":
        return response.json()
    assert response.content == b""
    shown = httpx.get(request.url, headers={"Authorization": request.headers.get("authorization", "")}, timeout=20)
    assert shown.status_code == response.status_code
    return shown.json()


def routes() -> set[str]:
    methods = {"get", "head", "post", "put", "patch", "delete"}
    paths = bare_app().openapi()["paths"]
    return {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations.keys() & methods}


def test_table_when_compared_with_the_application_then_no_route_is_missing() -> None:
    assert routes() | {"GET /openapi.json"} == OPEN | ROUTES.keys()


@pytest.mark.parametrize("route", sorted(OPEN))
def test_route_when_it_is_open_then_it_needs_no_key(guarded: Guarded, route: str) -> None:
    assert guarded.call(route, None).status_code == httpx.codes.OK


@pytest.mark.parametrize("key", [None, "nonsense", f"xmdpt_adaadaad_{'t' * 43}"], ids=["none", "no key", "wrong"])
@pytest.mark.parametrize("route", ROUTES)
def test_route_when_the_key_is_bad_then_401_before_anything_else(
    guarded: Guarded, ada: str, route: str, key: str | None
) -> None:
    thing_id = guarded.a_thing_of(ada, route)
    num_jobs = len(guarded.intake.jobs)

    response = guarded.call(route, key, thing_id)

    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        # Ten bad ones came from this address within the minute.
        assert problem(response)["code"] == "rate_limited"
    else:
        assert (response.status_code, problem(response)["code"]) == (401, "unauthenticated")
        assert response.headers["www-authenticate"] == ('Bearer error="invalid_token"' if key else "Bearer")
    assert "xmdpt_adaadaad" not in response.text
    assert len(guarded.intake.jobs) == num_jobs


@pytest.mark.parametrize("route", ROUTES)
def test_route_when_the_scope_is_missing_then_403_names_it(guarded: Guarded, ada: str, route: str) -> None:
    needed = ROUTES[route][0]
    key = guarded.keys.add(f"no{needed.name[:4].lower():x<6}", "ada", frozenset(Scope) - {needed}, LIMITLESS)

    response = guarded.call(route, key, guarded.a_thing_of(ada, route))

    assert (response.status_code, problem(response)["code"]) == (403, "forbidden")
    assert needed.value in problem(response)["detail"]


@pytest.mark.parametrize("route", [route for route, (_, is_of_a_tenant) in ROUTES.items() if is_of_a_tenant])
def test_route_when_it_names_another_tenants_then_it_is_as_if_there_were_none(
    guarded: Guarded, ada: str, route: str
) -> None:
    bob = guarded.keys.add("bobbobbo", "bob", limits=LIMITLESS)
    thing_id = guarded.a_thing_of(ada, route)
    if thing_id in guarded.intake.jobs:
        guarded.intake.succeed(thing_id, b"picture")
        guarded.blobs.put_output(thing_id, 1, b"picture")
        guarded.blobs.put_preview(thing_id, b"preview")
    absent = thing_id[:4] + "e" * 32

    answers = [problem(guarded.call(route, bob, each)) | {"instance": ""} for each in (thing_id, absent)]

    assert answers[0] == answers[1]
    assert (answers[0]["status"], answers[0]["code"]) == (404, "not_found")
    assert guarded.call(route, ada, thing_id).is_success


@pytest.mark.parametrize(("kind", "name"), [("source", "src_"), ("pose", "pos_")])
def test_request_when_it_names_a_picture_of_another_tenant_then_it_is_as_if_there_were_none(
    guarded: Guarded, ada: str, kind: str, name: str
) -> None:
    bob = guarded.keys.add("bobbobbo", "bob", limits=LIMITLESS)
    picture_id = guarded.a_thing_of(ada, f"GET /v1/{kind}s/")
    malformed = (picture_id[:-1], picture_id.upper(), f"../{picture_id}", "", "x" * 5000)

    def asked(key: str, each: str) -> httpx.Response:
        return guarded.call("POST /v1/jobs", key, json=GOOD_BODY | {kind: {"id": each}})

    answers = [problem(asked(bob, each)) | {"instance": ""} for each in (picture_id, name + "e" * 32, *malformed)]

    assert all(answer == answers[0] for answer in answers)
    assert (answers[0]["status"], answers[0]["code"]) == (422, "validation")
    assert [issue["pointer"] for issue in answers[0]["errors"]] == [f"/{kind}/id"]
    assert asked(ada, picture_id).is_success


def test_list_when_two_tenants_have_jobs_then_each_sees_its_own(guarded: Guarded, ada: str) -> None:
    bob = guarded.keys.add("bobbobbo", "bob", limits=LIMITLESS)
    ids = {key: guarded.a_job_of(key) for key in (ada, bob)}

    for key, job_id in ids.items():
        assert [job["id"] for job in guarded.call("GET /v1/jobs", key).json()["data"]] == [job_id]


def test_wait_when_the_job_is_another_tenants_then_404_comes_at_once(guarded: Guarded, ada: str) -> None:
    bob = guarded.keys.add("bobbobbo", "bob", limits=LIMITLESS)
    job_id = guarded.a_job_of(ada)

    headers = {"Authorization": f"Bearer {bob}", "Prefer": "wait=30"}
    response = guarded.gateway.client.get(f"/v1/jobs/{job_id}", headers=headers, timeout=20)

    assert response.status_code == httpx.codes.NOT_FOUND


def test_jobs_when_two_tenants_use_one_idempotency_key_then_each_has_its_own(guarded: Guarded, ada: str) -> None:
    job_id = guarded.a_job_of(ada)

    assert guarded.intake.jobs[job_id].tenant == "ada"
    assert [job.tenant for job in guarded.intake.accepted] == ["ada"]


def test_rate_when_it_is_used_up_then_429_and_each_answer_says_where_the_caller_stands(guarded: Guarded) -> None:
    key = guarded.keys.add("hastyhas", "ada", limits=CallerLimits(1, 2, 1))

    answers = [guarded.call("GET /v1/models", key) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=1;w=60'
    assert answers[0].headers["ratelimit"] == '"default";r=1;t=60'
    assert answers[2].json()["code"] == "rate_limited"
    assert 40 < int(answers[2].headers["retry-after"]) <= 60
    assert answers[2].headers["ratelimit"].startswith('"default";r=0;t=')


def test_body_when_the_key_is_bad_then_the_answer_does_not_wait_for_it(guarded: Guarded) -> None:
    head = (
        "POST /v1/generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bad\r\n"
        "Content-Type: application/json\r\nContent-Length: 200000000\r\n\r\n"
    )
    with socket.create_connection(guarded.gateway.address, timeout=20) as connection:
        connection.sendall(head.encode() + bytes(1000))
        answer = to_the_end(connection)

    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 429 "))
    assert b"\r\nconnection: close\r\n" in answer.lower()
