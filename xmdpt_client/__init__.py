"""The Python client of xmdpt-serve: a photo and a pose go in, a picture comes out.

It knows the HTTP API alone and imports nothing of the service. The command `xmdpt` is `xmdpt_client.command`.
"""

from xmdpt_client.calls import Options
from xmdpt_client.errors import (
    AccessError,
    FieldError,
    JobFailedError,
    JobStateError,
    NotFoundError,
    OverloadedError,
    RequestError,
    ServerError,
    UnexpectedAnswerError,
    UnreachableError,
    WaitOverError,
    XmdptError,
)
from xmdpt_client.inputs import KeyPoints, Matrix, NewPose, Photo, PhotoOfPose, Pose, Source, StoredPose, StoredSource
from xmdpt_client.poses import between, moved
from xmdpt_client.values import (
    Batch,
    BatchCounts,
    BatchResult,
    Eta,
    Generation,
    Job,
    JobPage,
    Model,
    NumberRange,
    Output,
    Picture,
    Preset,
    Progress,
)
from xmdpt_client.webhooks import WebhookError, verify_webhook

try:
    from xmdpt_client.client import AsyncClient, Client
except ModuleNotFoundError as error:
    if error.name != "httpx":
        raise
    raise ImportError("xmdpt_client needs httpx: pip install 'xmdpt-serve[client]'") from None

__all__ = [
    "AccessError",
    "AsyncClient",
    "Batch",
    "BatchCounts",
    "BatchResult",
    "Client",
    "Eta",
    "FieldError",
    "Generation",
    "Job",
    "JobFailedError",
    "JobPage",
    "JobStateError",
    "KeyPoints",
    "Matrix",
    "Model",
    "NewPose",
    "NotFoundError",
    "NumberRange",
    "Options",
    "Output",
    "OverloadedError",
    "Photo",
    "PhotoOfPose",
    "Picture",
    "Pose",
    "Preset",
    "Progress",
    "RequestError",
    "ServerError",
    "Source",
    "StoredPose",
    "StoredSource",
    "UnexpectedAnswerError",
    "UnreachableError",
    "WaitOverError",
    "WebhookError",
    "XmdptError",
    "between",
    "moved",
    "verify_webhook",
]
