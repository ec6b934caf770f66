"""What a webhook tells: the job or batch object of the API as it was after the change, and which change that was."""

import dataclasses
import json

from service.api.batch_views import batch_view
from service.api.views import job_view, moment
from service.domain.batch import Batch
from service.domain.job import Job
from service.ports.webhooks import Delivery

# A runtime's own words may be long; they are whole in `GET /v1/jobs/{id}`.
_MAX_DETAIL = 500


def webhook_body(delivery: Delivery) -> bytes:
    """The bytes to sign and send, below 20 kB; no picture is in them."""
    about = delivery.about
    view = batch_view(about, None) if isinstance(about, Batch) else job_view(_with_short_detail(about), None)
    document = {"type": delivery.event, "timestamp": moment(delivery.at), "data": view.model_dump(mode="json")}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _with_short_detail(job: Job) -> Job:
    if job.failure is None:
        return job
    return dataclasses.replace(job, failure=dataclasses.replace(job.failure, detail=job.failure.detail[:_MAX_DETAIL]))
