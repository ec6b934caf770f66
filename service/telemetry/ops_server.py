"""A process's own small HTTP port: liveness, readiness and metrics, in a thread.

It serves operators, not clients: `service.api` is the product's HTTP.
"""

import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    """Probes come every few seconds: they are not worth a line each."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class OpsServer:
    """Serves `/livez`, `/readyz` and `/metrics` until `stop`."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        is_alive: Callable[[], bool],
        is_ready: Callable[[], bool],
    ) -> None:
        """Bind at once; port 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        metrics = make_wsgi_app(registry)
        checks = {"/livez": is_alive, "/readyz": is_ready}

        def application(environ, start_response):
            path = environ["PATH_INFO"]
            if path == "/metrics":
                return metrics(environ, start_response)
            if path not in checks:
                start_response("404 Not Found", [("Content-Type", "text/plain")])
                return [b"not found: try /livez, /readyz or /metrics\n"]
            is_well = checks[path]()
            status = "200 OK" if is_well else "503 Service Unavailable"
            start_response(status, [("Content-Type", "text/plain")])
            return [b"ok\n" if is_well else b"not now\n"]

        self._server = make_server(host, port, application, _Server, _QuietHandler)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="ops", daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
