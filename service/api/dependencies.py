"""What the routes are given: the gateway's use cases and the limits, as one value in the app's state."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.batch_reader import BatchReader
from service.api.limits import WaitLimits
from service.api.submissions import SubmissionReader
from service.gateway.access import Access
from service.gateway.archive import Archive
from service.gateway.batches import Batches
from service.gateway.events import JobEvents
from service.gateway.forecast import Forecasts
from service.gateway.jobs import Jobs
from service.gateway.library import Library
from service.gateway.models import ServedModel
from service.gateway.rates import Rates
from service.gateway.readiness import Readiness
from service.gateway.status import DeploymentStatus
from service.gateway.workforce import Workforce
from service.telemetry.metrics import GatewayMetrics


@dataclass(frozen=True)
class GatewayServices:
    """What `service.bootstrap` composes for the edge.

    Attributes:
        jobs: submit, status, wait, cancel, picture, preview.
        events: what happens to a job.
        archive: the list of jobs, and how one is erased.
        batches: many jobs at once.
        library: sources and poses that are kept for later jobs.
        forecasts: when a job will have ended.
        status: how the deployment fares.
        readiness: whether a job would be accepted.
        workforce: whether a call may wait for one.
        model: what is served.
        metrics: the process's instruments.
        access: who calls.
        rates: how often.
    """

    jobs: Jobs
    events: JobEvents
    archive: Archive
    batches: Batches
    library: Library
    forecasts: Forecasts
    status: DeploymentStatus
    readiness: Readiness
    workforce: Workforce
    model: ServedModel
    metrics: GatewayMetrics
    access: Access
    rates: Rates


@dataclass(frozen=True)
class Edge:
    """The services together with the edge's own parts."""

    services: GatewayServices
    reader: SubmissionReader
    batch_reader: BatchReader
    waits: WaitLimits


async def _edge(request: Request) -> Edge:
    # Not awaiting anything: what is not a coroutine, FastAPI hands to a thread, for each request.
    return request.app.state.edge


EdgeDep = Annotated[Edge, Depends(_edge)]
