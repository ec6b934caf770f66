"""The worker's little HTTP port, over real sockets."""

import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Gauge

from service.telemetry.ops_server import OpsServer


class State:
    """What the probes are asked for."""

    is_alive = True
    is_ready = True


STATE = State()


@pytest.fixture
def state() -> State:
    STATE.is_alive = STATE.is_ready = True
    return STATE


@pytest.fixture(scope="module")
def server() -> Iterator[OpsServer]:
    """One for all tests: its stop may take half a second."""
    registry = CollectorRegistry()
    Gauge("xmdpt_of_this_test", "For this test", registry=registry).set(42)
    server = OpsServer("127.0.0.1", 0, registry, lambda: STATE.is_alive, lambda: STATE.is_ready)
    yield server
    server.stop()


def get(server: OpsServer, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path)
    with connection.getresponse() as response:
        answer = response.status, response.read().decode()
    connection.close()
    return answer


@pytest.mark.parametrize(("path", "attribute"), [("/livez", "is_alive"), ("/readyz", "is_ready")])
def test_probe_when_its_own_check_changes_then_its_answer_follows_and_the_others_stays(
    server: OpsServer, state: State, path: str, attribute: str
) -> None:
    other = {"/livez": "/readyz", "/readyz": "/livez"}[path]
    assert get(server, path) == (200, "ok\n")

    setattr(state, attribute, False)

    assert get(server, path) == (503, "not now\n")
    assert get(server, other)[0] == 200


def test_metrics_when_read_then_they_are_those_of_the_given_registry(server: OpsServer) -> None:
    status, text = get(server, "/metrics")

    assert status == 200
    assert "xmdpt_of_this_test 42.0" in text
    assert "python_info" not in text


@pytest.mark.parametrize("path", ["/", "/v1/generate", "/livez/", "/../livez"])
def test_path_when_it_is_another_then_404_names_the_right_ones(server: OpsServer, path: str) -> None:
    status, text = get(server, path)

    assert status == 404
    assert "/readyz" in text


def test_probe_when_a_connection_hangs_then_others_are_answered(server: OpsServer, state: State) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 20) as silent:
        silent.sendall(b"GET /livez HTTP/1.1\r\n")

        assert get(server, "/livez")[0] == 200


def test_port_when_taken_then_the_start_fails_and_when_stopped_it_is_free(server: OpsServer) -> None:
    def start(port: int) -> OpsServer:
        return OpsServer("127.0.0.1", port, CollectorRegistry(), lambda: True, lambda: True)

    with pytest.raises(OSError, match="in use"):
        start(server.port)
    first = start(0)
    first.stop()
    start(first.port).stop()
