"""`python -m benchmarks.engine.tracing_cost`: CPU time that traces take from a gateway and a worker, a request.

Three deployments take turns: without traces, with traces of which none is recorded, and with all of them recorded and
sent. Backends are instant, so that the CPU time is the service's own. Prints a table for docs/tracing.md.
"""

import argparse
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from benchmarks.engine.curves import INSTANT, stepwise_settings
from benchmarks.engine.deployment import Part, deployed
from benchmarks.engine.http_load import call, send_all
from benchmarks.occasion import occasion

_NUM_STEPS = 50
_NUM_CALLERS = 4
_SIDES: Mapping[str, dict[str, str]] = {
    "off": {},
    "on, none recorded": {"TRACING__SAMPLE_RATIO": "0"},
    "on, all recorded": {"TRACING__SAMPLE_RATIO": "1"},
}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.tracing_cost")
    parser.add_argument("--requests", type=int, default=200, help="of each side in a round")
    parser.add_argument("--rounds", type=int, default=7, help="in which all sides take their turns")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        collector = stack.enter_context(_collector())
        sides = {name: _side(stack, own, collector) for name, own in _SIDES.items()}
        for parts in sides.values():
            _cpu_ms(parts, options.requests)
        costs = {name: [_cpu_ms(sides[name], options.requests)] for name in sides}
        for number in range(1, options.rounds):
            for name in reversed(sides) if number % 2 else sides:
                costs[name].append(_cpu_ms(sides[name], options.requests))
    sys.stdout.write("\n".join(_table(costs)) + "\n")


def _side(stack: ExitStack, own: dict[str, str], collector: str) -> tuple[Part, Part]:
    endpoint = {"TRACING__ENDPOINT": collector} if own else {}
    deployment = stack.enter_context(deployed(stepwise_settings(INSTANT) | endpoint | own))
    return deployment.start_gateway(), deployment.start_worker()


def _cpu_ms(parts: tuple[Part, Part], num_requests: int) -> tuple[float, ...]:
    """Of gateway and worker, ms a request."""
    before = [part.cpu_seconds for part in parts]
    calls = [call(number, _NUM_STEPS, number % _NUM_CALLERS) for number in range(num_requests)]
    send_all(parts[0].port, calls, _NUM_CALLERS, lambda: None)
    return tuple(1000 * (part.cpu_seconds - start) / num_requests for part, start in zip(parts, before, strict=True))


def _table(costs: Mapping[str, list[tuple[float, ...]]]) -> Iterator[str]:
    yield f"| CPU ms a request of {_NUM_STEPS} steps | gateway | worker |"
    yield "|---|---|---|"
    for name, rounds in costs.items():
        gateway, worker = np.median(rounds, axis=0)
        yield f"| {name} | {gateway:.2f} | {worker:.2f} |"
    where = occasion()
    yield f"\nMedians of {len(costs['off'])} rounds. {where['machine']}; {where['date']}; {where['versions']}."


@contextmanager
def _collector() -> Iterator[str]:
    """Takes everything and keeps nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    main()
