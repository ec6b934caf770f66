"""The description of the API beyond what FastAPI finds by itself: bodies, problems, pictures.

`docs/openapi.json` is made from it (`service.api.documents`).
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.batch_body import BatchBody
from service.api.batch_views import BatchLine
from service.api.pose_schemas import PoseFormsBody, StripBody
from service.api.problems import CONTENT_TYPE, PROBLEMS, Problem
from service.api.schemas import GenerationBody, SourcePhotoBody
from service.api.views import JobListView, JobView, PreviewEvent, ProgressEvent
from service.domain.person import UNSUITABLE_CODES
from service.domain.request import ImageFormat

REF = "#/components/schemas/{model}"
_TEXT = {"type": "string"}
_SECURITY_SCHEMES = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer xmdpt_...`, if keys are needed",
    }
}
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
# A square of 16 px, so that the example can be sent as it is.
_EXAMPLE_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGUlEQVR42mOsiLJhIAUwMZAIRjWMahg6GgBtPQEukLlOCQAAAABJRU5ErkJggg=="
)
_EXAMPLE = {
    "source": {"data": _EXAMPLE_PICTURE},
    "pose": {
        "keypoints": [[128, 40], [128, 70, 0.98], None] + [[100 + 4 * i, 90 + 5 * i] for i in range(15)],
        "size": [256, 256],
    },
    "seed": 42,
    "steps": 50,
}
_SOURCE_PART = {"type": "string", "format": "binary", "description": "The photo: PNG, JPEG or WebP"}
_POSE_PART = {
    "type": "string",
    "format": "binary",
    "description": "A skeleton picture or a photo as a file, or JSON: the body's pose, or what OpenPose or COCO writes",
}
_OF_THE_POSE = {
    "pose_size": _TEXT | {"pattern": "^[0-9]+x[0-9]+$", "description": "As `pose.size`, such as 640x480"},
    "pose_mirror": {"type": "boolean", "description": "As `pose.mirror`"},
    "pose_fit": {"type": "boolean", "description": "As `pose.fit`"},
}
_SOURCE_CROP = {
    "enum": ["none", "person"],
    "default": "none",
    "description": "`person`: not all of the photo but a frame around the person is shown to the model",
}
_POSE_KIND = {
    "enum": ["skeleton", "photo"],
    "default": "skeleton",
    "description": "What a file `pose` is: a drawn skeleton, or a photo whose pose is taken",
}
_POSE_FRAME = {
    "enum": ["photo", "person"],
    "default": "photo",
    "description": "With `pose_kind=photo`: as `pose.photo.frame`",
}
_FORM = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "source": _SOURCE_PART,
        "source_id": _TEXT | {"description": "In place of `source`: an id of `POST /v1/sources`"},
        "pose": _POSE_PART,
        "pose_id": _TEXT | {"description": "In place of `pose`: an id of `POST /v1/poses`"},
        "pose_preset": _TEXT | {"description": "In place of `pose`: a name of `GET /v1/poses/presets`"},
        **_OF_THE_POSE,
        "source_crop": _SOURCE_CROP,
        "pose_kind": _POSE_KIND,
        "pose_frame": _POSE_FRAME,
        "params": _TEXT | {"description": "The fields of the JSON body without pictures, as JSON"},
        "model": _TEXT,
        "seed": {"type": "integer"},
        "num_images": {"type": "integer", "description": "1 to 8 pictures; picture i is drawn from seed + i"},
        "preset": _TEXT | {"description": "exact, fast or draft; a number of steps beside it comes first"},
        "steps": {"type": "integer"},
        "guidance": {"type": "number"},
        "sampler": _TEXT,
        "priority": _TEXT,
        "deadline_ms": {"type": "integer"},
        "retention_s": {"type": "integer"},
        "format": _TEXT | {"description": "As `output.format`"},
        "quality": {"type": "integer", "description": "As `output.quality`"},
        "delivery": _TEXT | {"description": "As `output.delivery`"},
        "fit": _TEXT | {"description": "As `output.fit`"},
    },
}
PREFER: dict[str, Any] = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "`wait=N`, N 0 to 60 seconds, or `respond-async` (RFC 7240); the answer names what was applied",
}
IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": _TEXT | {"pattern": "^[!-~]{1,255}$"},
    "description": "A name for this call: for 24 hours a repeat finds its job (`Idempotency-Replayed: true`), and "
    "another request under the same key is refused",
}

# For openapi_extra of the routes that take a generation request, or that wait.
GENERATION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/json": {
                "schema": {"$ref": REF.format(model="GenerationBody")},
                "examples": {"keypoints": {"summary": "A pose by 18 key points", "value": _EXAMPLE}},
            },
        },
    }
}


def _upload_body(form: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """For openapi_extra of a route that takes one picture, as a part of this name or as JSON."""
    schema = {"type": "object", "additionalProperties": False, "properties": form}
    content = {
        "multipart/form-data": {"schema": schema},
        "application/json": {"schema": {"$ref": REF.format(model=model.__name__)}},
    }
    return {"requestBody": {"required": True, "content": content}}


SOURCE_UPLOAD = _upload_body({"source": _SOURCE_PART, "source_crop": _SOURCE_CROP}, SourcePhotoBody)
POSE_UPLOAD = _upload_body(
    {
        "pose": _POSE_PART,
        **{name: _FORM["properties"][name] for name in ("pose_preset", "pose_kind", "pose_frame")},
        **_OF_THE_POSE,
    },
    PoseFormsBody,
)
STRIP_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REF.format(model="StripBody")},
                "example": {"from": {"preset": "standing"}, "to": {"preset": "walking", "mirror": True}, "count": 8},
            }
        },
    }
}
# How a route that needs a key can refuse a caller.
_ACCESS_PROBLEMS = ("unauthenticated", "forbidden", "rate_limited", "queue_unavailable")
# How an accepted job can end badly.
JOB_PROBLEMS = (
    "cancelled",
    "backend_error",
    "input_lost",
    "attempts_exhausted",
    "resource_exhausted",
    "backend_unavailable",
    "backend_timeout",
    "deadline_exceeded",
)
PICTURE_PROBLEMS = (
    "malformed_request",
    "body_too_large",
    "media_type",
    "image_type",
    "validation",
    "image_invalid",
    "image_too_large",
    "image_too_small",
    "image_animated",
)
POINTS_PROBLEMS = (
    "keypoints_format",
    "pose_too_sparse",
    "pose_out_of_frame",
    "no_person",
    "several_persons",
    "unknown_preset",
)
POSE_PROBLEMS = tuple(dict.fromkeys((*PICTURE_PROBLEMS, *POINTS_PROBLEMS, *UNSUITABLE_CODES)))
GENERATION_PROBLEMS = (
    *POSE_PROBLEMS,
    "bad_header",
    "unknown_model",
    "unavailable_preset",
    "webhook_url",
    "idempotency_mismatch",
    "tenant_queue_full",
    "overloaded",
    "draining",
    "queue_unavailable",
    "storage_unavailable",
)


def query_parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """Of a route that reads its query itself; it may be left out."""
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def problems(*codes: str, is_open: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these codes, and with `internal_error` as every route.

    Args:
        codes: of `service.api.problems.PROBLEMS`.
        is_open: it needs no key; the others may refuse a caller besides.
    """
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*(() if is_open else _ACCESS_PROBLEMS), *codes, "internal_error")):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    content = {CONTENT_TYPE: {"schema": {"$ref": REF.format(model=Problem.__name__)}}}
    return {
        status: {"description": "Problem " + " or ".join(f"`{code}`" for code in names), "content": content}
        for status, names in sorted(by_status.items())
    }


def picture_answer(description: str, *, is_replayable: bool = False) -> dict[str, Any]:
    """A 200 whose body is a picture, the job object, or an archive of both."""
    content: dict[str, Any] = {image.content_type: _PICTURE for image in ImageFormat}
    content["application/zip"] = _PICTURE
    content["application/json"] = {"schema": {"$ref": REF.format(model=JobView.__name__)}}
    names = [
        *(f"X-Xmdpt-{name}" for name in ("Job-Id", "Seed", "Preset", "Steps", "Precision", "Cache", "Runtime")),
        *("Server-Timing", "Content-Location", "Content-Disposition", "ETag", "Cache-Control", "Vary", "Accept-Ranges"),
        *(["Idempotency-Replayed"] if is_replayable else []),
    ]
    return {"description": description, "content": content, "headers": {name: {"schema": _TEXT} for name in names}}


RESULT_HEADERS: list[dict[str, Any]] = [
    {"name": name, "in": "header", "required": False, "schema": _TEXT, "description": description}
    for name, description in (
        ("If-None-Match", "Tags that the caller has: 304 if the picture's is one of them"),
        ("Range", "`bytes=...`, at most 5 ranges"),
        ("If-Range", "The tag for which `Range` holds; with another one, all of the picture"),
    )
]
LINK: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False, "schema": _TEXT, "description": description}
    for name, description in (
        ("expires", "Until when `signature` holds, POSIX seconds"),
        ("signature", "Of an address that a job object gave; it stands for a key"),
    )
]
RESULT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: picture_answer("The picture's bytes, or by `Accept` the job object or an archive of it and all pictures"),
    206: {
        "description": "The bytes that `Range` names; several ranges as parts",
        "content": {**{image.content_type: _PICTURE for image in ImageFormat}, "multipart/byteranges": _PICTURE},
        "headers": {name: {"schema": _TEXT} for name in ("Content-Range", "ETag", "Cache-Control")},
    },
    304: {
        "description": "The caller has the picture already",
        "headers": {name: {"schema": _TEXT} for name in ("ETag", "Cache-Control")},
    },
    **problems(
        *("not_found", "not_acceptable", "not_finished", "expired", "range_not_satisfiable"),
        *("queue_unavailable", "storage_unavailable", *JOB_PROBLEMS),
    ),
}


def job_answer(description: str, *, is_accepted: bool = False) -> dict[str, Any]:
    """An answer whose body is the job object; an accepted one says where to look for it."""
    names = ("Location", "Link", "Retry-After", "Idempotency-Replayed") if is_accepted else ("Preference-Applied",)
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": REF.format(model=JobView.__name__)}}},
        "headers": {name: {"schema": _TEXT} for name in names},
    }


def list_answer() -> dict[str, Any]:
    """An answer whose body is a list of jobs."""
    schema = {"$ref": REF.format(model=JobListView.__name__)}
    return {"description": "A page of the list", "content": {"application/json": {"schema": schema}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the app."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, ours = models_json_schema(
        [
            *(
                (model, "validation")
                for model in (GenerationBody, SourcePhotoBody, PoseFormsBody, StripBody, BatchBody)
            ),
            *(
                (model, "serialization")
                for model in (JobView, JobListView, ProgressEvent, PreviewEvent, BatchLine, Problem)
            ),
        ],
        ref_template=REF,
    )
    schemas.update(ours["$defs"])
    # Bodies are parsed here, not by FastAPI: its own form of a validation error never occurs.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = _SECURITY_SCHEMES
    for operations in document["paths"].values():
        for operation in operations.values():
            # Both: a server may need no keys (docs/access.md).
            operation["security"] = [{"apiKey": []}, {}] if "401" in operation["responses"] else []
            schema = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
            if "HTTPValidationError" in str(schema):
                del operation["responses"]["422"]
    return document
