"""The HTTP application: routes, error handlers and the request's envelope, put together.

It composes no services and reads no settings; `service.bootstrap` does.
"""

from functools import cache
from importlib.metadata import version

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Lifespan

from service.api import (
    archive,
    batches,
    events,
    generate,
    health,
    jobs,
    library,
    pages,
    poses,
    poses_between,
    problem_pages,
    status,
    swagger_page,
)
from service.api.batch_reader import BatchReader
from service.api.dependencies import Edge, GatewayServices
from service.api.envelope import Envelope
from service.api.limits import UploadLimits, WaitLimits
from service.api.openapi import describe
from service.api.problems import PROBLEMS, framework_error, problem_response
from service.api.submissions import SubmissionReader
from service.domain.errors import RequestError, ServiceError
from service.domain.job import DEFAULT_RETENTION_SECONDS
from service.gateway.persons import Persons
from service.ports.pictures import PictureDecoder
from service.telemetry.logs import get_logger
from service.telemetry.spans import Tracer

_DESCRIPTION = "Pose-guided person image synthesis with X-MDPT: a photo and a pose go in, a picture comes out."
_ROUTERS = (
    generate.router,
    jobs.router,
    events.router,
    archive.router,
    batches.router,
    poses.router,
    poses_between.router,
    library.router,
    problem_pages.router,
    health.router,
    status.router,
)


def create_app(
    services: GatewayServices,
    decoder: PictureDecoder,
    uploads: UploadLimits = UploadLimits(),  # noqa: B008 - frozen
    waits: WaitLimits = WaitLimits(),  # noqa: B008 - frozen
    default_retention_seconds: float = DEFAULT_RETENTION_SECONDS,
    lifespan: Lifespan[FastAPI] | None = None,
    *,
    persons: Persons,
    has_docs: bool = False,
    has_pages: bool = True,
    tracer: Tracer | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        services: the gateway's use cases and instruments.
        decoder: of the pictures that come in.
        uploads: what is accepted at most.
        waits: how long a call may wait.
        default_retention_seconds: how long a picture is kept whose request does not say.
        lifespan: what runs beside it, such as the upkeep.
        persons: found in photos.
        has_docs: /docs is served: the description as a page to try it on.
        has_pages: /playground and /status are served.
        tracer: of the process, if requests are traced.
    """
    app = bare_app(lifespan)
    if has_pages:
        app.include_router(pages.router)
    if has_docs:
        app.include_router(swagger_page.router)
    for code in PROBLEMS:
        # From the start: a rate over the first event of a series that did not exist would miss it.
        services.metrics.input_rejected.labels(code)
    reader = SubmissionReader(uploads, decoder, persons, default_retention_seconds, services.library)
    batch_reader = BatchReader(reader, services.library, services.batches, services.model, uploads)
    app.state.edge = Edge(services, reader, batch_reader, waits)
    app.add_middleware(Envelope, metrics=services.metrics, tracer=tracer)
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(ClientDisconnect, _nobody_there)
    app.add_exception_handler(Exception, _unexpected_error)
    return app


def bare_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The routes and their description, without services: it can be described, not called."""
    app = FastAPI(
        title="xmdpt-serve",
        version=version("xmdpt-serve"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    for router in _ROUTERS:
        app.include_router(router)
    # Once: anybody may ask for it, as often as they like.
    app.openapi = cache(lambda: describe(app))
    return app


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    metrics = request.app.state.edge.services.metrics
    metrics.count_outage(error)
    if isinstance(error, RequestError):
        metrics.input_rejected.labels(error.code).inc()
    response = problem_response(error, request.state.request_id, getattr(request.state, "job_id", None))
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if has_body and not getattr(request.state, "is_body_read", False):
        response.headers["Connection"] = "close"  # nobody reads the rest
    return response


async def _framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem_response(framework_error(error.status_code, error.detail), request.state.request_id)
    response.headers.update(error.headers or {})
    methods = _methods_here(request)
    if "Allow" in response.headers and methods:
        response.headers["Allow"] = ", ".join(sorted(methods))  # the framework names those of one route only
    return response


def _methods_here(request: Request) -> set[str]:
    """Of the first address that it could be: what has a name of its own is not also somebody's id."""
    routes = [route for router in _ROUTERS for route in router.routes if isinstance(route, Route)]
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in here if route.path == here[0].path for method in route.methods or ()}


async def _nobody_there(_request: Request, _error: Exception) -> Response:
    """The client left: there is nobody to answer, the status is for the metrics."""
    return Response(status_code=499)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    """The last handler: the caller learns the request's id, the log the rest."""
    get_logger().error("request_failed", request_id=request.state.request_id, exc_info=error)
    response = problem_response(ServiceError("internal_error", ""), request.state.request_id)
    # This handler stands outside of the envelope.
    response.headers["X-Request-Id"] = request.state.request_id
    if traceparent := getattr(request.state, "traceparent", None):
        response.headers["traceparent"] = traceparent
    response.headers["Connection"] = "close"  # the server closes it; a client that was not told would use it again
    return response
