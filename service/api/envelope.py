"""What every request has in common: an id, a span, its line in the metrics, marks of a replay and a rate, safety."""

import math
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.request_span import begin_request_span, end_request_span
from service.gateway.rates import RateState
from service.telemetry.metrics import GatewayMetrics
from service.telemetry.spans import Tracer

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADER = "X-Request-Id"
# No answer of the API is a page: a browser that is led to take one for a page does nothing with it.
_SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Envelope:
    """ASGI middleware; the caller's own id is taken if it is short and plain."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics, tracer: Tracer | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request; what is not HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_HEADER, "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        span = None if self._tracer is None else begin_request_span(self._tracer, scope, request_id)
        status, start = 0, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[_HEADER] = request_id
                if span is not None:
                    headers["traceparent"] = span.context.traceparent
                if scope["state"].get("is_replay"):
                    headers["Idempotency-Replayed"] = "true"
                for name, value in (_rate_headers(scope["state"].get("rate")) | _SAFETY).items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            status = status or 500  # answered by the app's last handler, which stands outside of this one
            raise
        finally:
            # The template of the path, never the path: labels are a closed set.
            route = getattr(scope.get("route"), "path", "none")
            status = status or 499
            self._metrics.request_seconds.labels(route, str(status)).observe(time.perf_counter() - start)
            if span is not None:
                end_request_span(span, scope, status)


def _rate_headers(rate: RateState | None) -> dict[str, str]:
    """Where the caller stands, by draft-ietf-httpapi-ratelimit-headers; nothing for a caller without limits."""
    if rate is None:
        return {}
    return {
        "RateLimit-Policy": f'"default";q={rate.limits.requests_per_minute};w=60',
        "RateLimit": f'"default";r={rate.remaining};t={math.ceil(rate.reset_seconds)}',
    }
