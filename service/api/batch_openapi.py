"""The description of the batches' routes, as far as FastAPI does not find it by itself."""

from typing import Any

from service.api.batch_body import BatchBody, BatchQuery
from service.api.batch_views import BatchLine
from service.api.openapi import REF, problems, query_parameter

MAX_AFTER = 10**9 - 1
NDJSON, ZIP = "application/x-ndjson", "application/zip"
_TEXT = {"type": "string"}
_MATRIX = {
    "matrix": {
        "sources": [{"id": "src_" + "0" * 32}, {"id": "src_" + "1" * 32}],
        "poses": [{"preset": "standing"}, {"id": "pos_" + "0" * 32}],
    },
    "defaults": {"steps": 30, "output": {"format": "webp"}},
}
_LINES = (
    '{"custom_id": "a1", "source": {"id": "src_' + "0" * 32 + '"}, "pose": {"preset": "standing"}}\n'
    '{"custom_id": "a2", "source": {"id": "src_' + "0" * 32 + '"}, "pose": {"preset": "walking"}, "seed": 7}\n'
)


BATCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REF.format(model=BatchBody.__name__)},
                "examples": {"matrix": {"summary": "Every source in every pose", "value": _MATRIX}},
            },
            NDJSON: {
                "schema": _TEXT | {"description": "A request of `POST /v1/generate` with a `custom_id` a line"},
                "examples": {"lines": {"summary": "An item a line", "value": _LINES}},
            },
        },
    }
}
BATCH_QUERY = [
    query_parameter(
        name, {key: value for key, value in schema.items() if key != "title"}, "As in the JSON body, which comes first"
    )
    for name, schema in BatchQuery.model_json_schema()["properties"].items()
]
RESULTS_QUERY = [
    query_parameter(
        "after",
        {"type": "integer", "minimum": 0, "maximum": MAX_AFTER, "default": 0},
        "`n` of the line that was read last",
    ),
    query_parameter("follow", {"type": "boolean", "default": True}, "`false`: only what has ended by now"),
]
BATCH_RESULTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"Lines of `{BatchLine.__name__}`, now and then an empty one; or a ZIP file of the pictures, "
        "named `<custom_id>.<format>`, with the lines as `results.ndjson`",
        "content": {
            NDJSON: {"schema": {"$ref": REF.format(model=BatchLine.__name__)}},
            ZIP: {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **problems("not_found", "not_acceptable", "validation", "concurrency_limited", "queue_unavailable"),
}
