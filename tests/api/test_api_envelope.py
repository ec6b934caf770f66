"""What every answer has in common: the request's id, the problem's form, and silence about the inside."""

import re

import httpx
import pytest
import structlog

from service.domain.job import NewJob
from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge

UNKNOWN = "job_" + "0" * 32
MADE_HERE = re.compile(r"[0-9a-f]{16}")


@pytest.mark.parametrize("path", ["/livez", "/no/such/path", f"/v1/jobs/{UNKNOWN}"])
@pytest.mark.parametrize("given", ["a", "A-z_0.9", "x" * 64])
def test_request_id_when_it_is_short_and_plain_then_it_is_taken(edge: Edge, path: str, given: str) -> None:
    response = edge.client.get(path, headers={"X-Request-Id": given})

    assert response.headers["x-request-id"] == given
    assert response.is_success or response.json()["instance"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a/b", "{{7*7}}", "a\tb", b"\xc3\xa9", "%0d%0aSet-Cookie:a=b"])
def test_request_id_when_it_is_long_or_odd_then_another_is_made(edge: Edge, given: str | bytes) -> None:
    response = edge.client.get("/no/such/path", headers={"X-Request-Id": given})

    assert MADE_HERE.fullmatch(response.headers["x-request-id"])
    assert response.json()["instance"] == response.headers["x-request-id"]


def test_request_id_when_absent_then_each_request_has_its_own(edge: Edge) -> None:
    ids = {edge.client.get("/livez").headers["x-request-id"] for _ in range(20)}

    assert len(ids) == 20
    assert all(MADE_HERE.fullmatch(request_id) for request_id in ids)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1"), ("GET", "/no/such/path"), ("POST", "/v1/generate/"), ("GET", "/docs")],
)
def test_framework_when_there_is_no_such_path_then_a_problem_says_404(edge: Edge, method: str, path: str) -> None:
    response = edge.client.request(method, path)

    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == problem.pop("status") == 404
    assert problem.pop("instance") == response.headers["x-request-id"]
    assert problem == {
        "type": "/problems/not_found",
        "title": "Not found",
        "detail": "there is nothing at this address",
        "code": "not_found",
        "retryable": False,
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/generate", "POST"),
        ("PUT", "/generate", "POST"),
        ("PUT", "/v1/jobs", "GET, POST"),
        ("OPTIONS", "/v1/jobs", "GET, POST"),
        ("PATCH", f"/v1/jobs/{UNKNOWN}", "DELETE, GET"),
        ("POST", f"/v1/jobs/{UNKNOWN}/events", "GET"),
        ("POST", f"/v1/jobs/{UNKNOWN}/result", "GET, HEAD"),
        ("GET", f"/v1/jobs/{UNKNOWN}/cancel", "POST"),
        ("POST", "/livez", "GET"),
        ("TRACE", "/metrics", "GET"),
    ],
)
def test_framework_when_the_method_is_wrong_then_a_problem_says_405_and_allow_the_right_one(
    edge: Edge, method: str, path: str, allowed: str
) -> None:
    response = edge.client.request(method, path)

    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == allowed


def test_unexpected_when_something_raises_then_500_without_detail_and_the_log_has_the_rest(edge: Edge) -> None:
    def raise_something(job: NewJob) -> None:
        raise ZeroDivisionError("a secret of /srv/inside")

    edge.intake.on_enqueue = raise_something
    seconds = edge.gateway.metrics.request_seconds
    before = seconds.labels("/v1/generate", "500")._sum.get()

    with structlog.testing.capture_logs() as lines:
        response = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"X-Request-Id": "call-1"})

    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "call-1"
    assert response.headers["connection"] == "close", "the server closes it, and the next request would be lost"
    assert response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    problem = response.json()
    assert (problem["code"], problem["status"], problem["instance"]) == ("internal_error", 500, "call-1")
    assert not re.search(r"secret|inside|ZeroDivision|Traceback|\.py", response.text + str(response.headers))
    (line,) = (line for line in lines if line["event"] == "request_failed")
    assert (line["request_id"], line["log_level"]) == ("call-1", "error")
    assert isinstance(line["exc_info"], ZeroDivisionError)
    assert seconds.labels("/v1/generate", "500")._sum.get() > before, "an alert on 5xx would miss it"
    assert edge.client.get("/livez").status_code == httpx.codes.OK


def test_client_when_it_leaves_while_sending_then_the_gateway_goes_on(edge: Edge) -> None:
    import socket

    head = "POST /v1/generate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(edge.gateway.address, 20) as connection:
        connection.sendall(head.encode() + b"{")

    assert edge.client.post("/v1/generate", json=GOOD_BODY).status_code == httpx.codes.OK
    assert len(edge.intake.jobs) == 1
