"""The body of a batch as a pydantic model, and its items as the bodies of single requests."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.datastructures import QueryParams

from service.api.body import WHOLE, Body, validated
from service.api.schemas import GenerationBody, Metadata, WebhookBody, check_body
from service.api.strict_json import escape
from service.domain.errors import FieldIssue, RequestError
from service.domain.job import MAX_DEADLINE_SECONDS, MAX_RETENTION_SECONDS, MIN_RETENTION_SECONDS, Priority
from service.domain.webhook import WebhookEvent
from service.gateway.batch_draft import MAX_ITEMS
from service.gateway.pose_presets import POSE_PRESETS

MAX_INLINE_ITEMS = 1000
_MAX_DEADLINE_MS = int(MAX_DEADLINE_SECONDS * 1000)
# Of these an item names some, and leaves the others to the defaults.
_NESTED = ("output", "preview", "metadata")
_OF_THE_BATCH = ("deadline_ms", "webhook")
# Stands for what the items bring, where only the defaults are looked at.
_GOOD: Mapping[str, Any] = {"source": {"id": ""}, "pose": {"preset": next(iter(POSE_PRESETS))}}


class MatrixBody(Body):
    """Every source in every pose."""

    sources: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_ITEMS, description='Each as `{"id": "src_..."}`')
    poses: list[dict[str, Any]] = Field(
        min_length=1, max_length=MAX_ITEMS, description="Each as `pose` of a request, by id, preset or key points"
    )


class BatchWebhookBody(WebhookBody):
    """Who is to be told what of the batch, and of the jobs that its items become."""

    events: list[Annotated[WebhookEvent, Field(strict=False)]] = Field(
        default=[WebhookEvent.BATCH_COMPLETED], min_length=1, max_length=len(WebhookEvent), description="What is told"
    )


class BatchBody(Body):
    """Many pictures asked for at once: exactly one of items and matrix."""

    defaults: dict[str, Any] = Field(
        default={}, description="Fields of a request for all items; an item's own come first"
    )
    items: list[Any] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_INLINE_ITEMS,
        description="Each a request of `POST /v1/generate` with a `custom_id`",
    )
    matrix: MatrixBody | None = Field(default=None, description=f"At most {MAX_ITEMS} pairs, named `s<i>-p<j>`")
    on_invalid: Literal["fail_item", "reject"] = Field(
        default="fail_item", description="`fail_item`: a bad item fails alone; `reject`: the whole call does"
    )
    deadline_ms: Annotated[int, Field(ge=100, le=_MAX_DEADLINE_MS), WHOLE] = Field(
        default=_MAX_DEADLINE_MS,
        description="From acceptance to the end of the whole batch; what has not ended by then fails",
    )
    retention_s: Annotated[int, Field(ge=MIN_RETENTION_SECONDS, le=MAX_RETENTION_SECONDS), WHOLE] = Field(
        default=MAX_RETENTION_SECONDS,
        description="How long each picture is kept after its end, unless its item says",
    )
    metadata: Metadata = Field(default={}, description="Notes of yours, returned in the batch object")
    webhook: BatchWebhookBody | None = Field(
        default=None, description="Calls to an address of yours; see docs/webhooks.md"
    )


class BatchQuery(Body):
    """The options of a batch as texts of the query, for a body that holds an item a line."""

    on_invalid: Literal["fail_item", "reject"] = "fail_item"
    deadline_ms: Annotated[int, Field(ge=100, le=_MAX_DEADLINE_MS), WHOLE] = _MAX_DEADLINE_MS
    retention_s: Annotated[int, Field(ge=MIN_RETENTION_SECONDS, le=MAX_RETENTION_SECONDS), WHOLE] = (
        MAX_RETENTION_SECONDS
    )


_WHOLE = re.compile(r"[0-9]{1,9}")


def batch_query(parameters: QueryParams) -> BatchQuery:
    """Read the query.

    Raises:
        RequestError: `validation`.
    """
    fields: dict[str, Any] = {}
    for name, text in parameters.multi_items():
        if name in fields:
            raise RequestError.of_field("validation", f"/{escape(name)}", "must be given once")
        fields[name] = int(text) if _WHOLE.fullmatch(text) else text
    return validated(BatchQuery, fields)


def check_batch(fields: dict[str, Any]) -> BatchBody:
    """Check everything but the items themselves.

    Raises:
        RequestError: `validation`; also for defaults with which no item could be good.
    """
    body = validated(BatchBody, fields)
    if (body.items is None) == (body.matrix is None):
        raise RequestError.of_field("validation", "", "must hold exactly one of items and matrix")
    if body.matrix:
        num_pairs = len(body.matrix.sources) * len(body.matrix.poses)
        if num_pairs > MAX_ITEMS:
            raise RequestError.of_field("validation", "/matrix", f"may make {MAX_ITEMS} pairs, not {num_pairs}")
    _check_defaults(body)
    return body


def _check_defaults(body: BatchBody) -> None:
    """Once, and not with each item: what is wrong with them is wrong with all."""
    for name in _OF_THE_BATCH:
        if name in body.defaults:
            raise RequestError.of_field("validation", f"/defaults/{name}", "belongs to the batch, not to its items")
    own = [name for name in ("source", "pose") if name in body.defaults]
    try:
        check_item({name: value for name, value in _GOOD.items() if name not in own}, body)
    except RequestError as error:
        issues = tuple(FieldIssue(f"/defaults{issue.pointer}", issue.detail) for issue in error.issues)
        raise RequestError(error.code, f"/defaults{error.detail}", issues) from None


def check_item(fields: Mapping[str, Any], body: BatchBody | BatchQuery) -> GenerationBody:
    """An item as the request that it stands for.

    Args:
        fields: of the item, without its name.
        body: of the batch; a query has no defaults.

    Raises:
        RequestError: as `check_body`.
    """
    for name in _OF_THE_BATCH:
        if name in fields:
            raise RequestError.of_field("validation", f"/{name}", "belongs to the batch, not to its items")
    defaults = body.defaults if isinstance(body, BatchBody) else {}
    merged: dict[str, Any] = {"priority": Priority.BATCH.value, "retention_s": body.retention_s} | defaults
    for name, value in fields.items():
        known: Any = merged.get(name)
        is_nested = name in _NESTED and isinstance(known, dict) and isinstance(value, dict)
        merged[name] = known | value if is_nested else value
    return check_body(merged)


class Items:
    """The items of a body in their order, those of a matrix source by source; which of its parts are bad is found once.

    It takes time in proportion to the parts of a matrix to make one.
    """

    def __init__(self, body: BatchBody) -> None:
        self._body = body
        matrix = body.matrix
        self._bad_sources = [self._fault("source", source) for source in matrix.sources] if matrix else []
        self._bad_poses = [self._fault("pose", pose) for pose in matrix.poses] if matrix else []

    def __iter__(self) -> Iterator[tuple[str | None, object]]:
        """The name, None if the item may have one of its own; and what was given, or the RequestError that it is."""
        for item in self._body.items or ():
            yield None, item
        if self._body.matrix:
            for i, source in enumerate(self._body.matrix.sources):
                for j, pose in enumerate(self._body.matrix.poses):
                    fault = self._bad_sources[i] or self._bad_poses[j]
                    yield f"s{i}-p{j}", fault or {"source": source, "pose": pose}

    def _fault(self, name: str, part: dict[str, Any]) -> RequestError | None:
        try:
            # A picture would be decoded and stored with each of its pairs.
            refuse_pictures(check_item({**_GOOD, name: part}, self._body))
        except RequestError as error:
            return error
        return None


def refuse_pictures(item: GenerationBody) -> None:
    """RequestError `validation` if the item holds a picture where that is for items alone."""
    if item.source.data or item.pose.skeleton or item.pose.photo:
        raise RequestError.of_field("validation", "", "may hold no picture here: upload it and name its id")
