"""The span of one HTTP request: named by its route's template, below the caller's `traceparent` if there is one.

Neither paths nor queries, bodies or keys get into it. What is not the API's, such as probes and pages, has none.
"""

from starlette.datastructures import Headers
from starlette.types import Scope

from service.domain.trace_context import parse_traceparent
from service.telemetry.spans import Span, Tracer, enter

_TRACED = ("/v1/", "/generate")
# Names of spans are a closed set, whatever a client sends.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def begin_request_span(tracer: Tracer, scope: Scope, request_id: str) -> Span | None:
    """Begin it, and be in it from now on; None for what is not traced."""
    if not scope["path"].startswith(_TRACED):
        return None
    method = _method(scope)
    caller = parse_traceparent(*Headers(scope=scope).getlist("traceparent"))
    span = tracer.begin(method, "server", caller, {"http.request.method": method, "xmdpt.request_id": request_id})
    enter(span)
    scope["state"]["traceparent"] = span.context.traceparent
    return span


def end_request_span(span: Span, scope: Scope, status: int) -> None:
    """It was answered so; 499 for a client that had left."""
    route: str = getattr(scope.get("route"), "path", "")
    attributes: dict[str, str | int] = {"http.response.status_code": status}
    if route:
        attributes["http.route"] = route
    if job_id := scope["state"].get("job_id"):
        attributes["xmdpt.job_id"] = job_id
    span.end(attributes, name=f"{_method(scope)} {route}".strip(), error=str(status) if status >= 500 else "")


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "_OTHER"
