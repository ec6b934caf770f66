"""The query of a list: which status, where to go on, how many. What a list holds is the routes'."""

import base64
import binascii
import re
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from service.api.strict_json import escape
from service.domain.batch import BATCH_ID
from service.domain.errors import FieldIssue, RequestError
from service.domain.job import JobStatus
from service.ports.archive import JobChoice

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
_NAMES = ("status", "batch", "cursor", "limit")
_LIMIT = re.compile(r"[0-9]{1,3}")
# Numbers that a float holds exactly, as the queue's own do.
_PLACE = re.compile(rb"before ([1-9][0-9]{0,14})")


@dataclass(frozen=True)
class ListQuery:
    """What is asked for.

    Attributes:
        chosen: which jobs.
        before: place in the list; None begins with the newest.
        limit: most entries of one page, 1 to 100.
    """

    chosen: JobChoice
    before: int | None
    limit: int


def list_query(parameters: QueryParams) -> ListQuery:
    """Read the query.

    Raises:
        RequestError: `validation`, with a pointer for each parameter at fault.
    """
    issues = [
        FieldIssue(f"/{escape(name)}", "there is no such parameter" if name not in _NAMES else "must be given once")
        for name in dict.fromkeys(parameters)
        if name not in _NAMES or len(parameters.getlist(name)) > 1
    ]
    status, limit = parameters.get("status"), parameters.get("limit", str(DEFAULT_LIMIT))
    cursor, batch = parameters.get("cursor"), parameters.get("batch")
    before = None if cursor is None else _place_of(cursor)
    if status is not None and status not in [known.value for known in JobStatus]:
        issues.append(FieldIssue("/status", f"must be one of {', '.join(JobStatus)}"))
    if batch is not None and not BATCH_ID.fullmatch(batch):
        issues.append(FieldIssue("/batch", "must be the id of a batch"))
    if cursor is not None and before is None:
        issues.append(FieldIssue("/cursor", "must be the next_cursor of another page"))
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MAX_LIMIT:
        issues.append(FieldIssue("/limit", f"must be a whole number from 1 to {MAX_LIMIT}"))
    if issues:
        raise RequestError("validation", f"{issues[0].pointer} {issues[0].detail}", tuple(issues))
    return ListQuery(JobChoice(JobStatus(status) if status else None, batch), before, int(limit))


def cursor_of(place: int) -> str:
    """A place in the list as an opaque text; the way back is `list_query`'s."""
    return base64.urlsafe_b64encode(b"before %d" % place).rstrip(b"=").decode()


def _place_of(cursor: str) -> int | None:
    """None if it is no cursor of ours."""
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    match = _PLACE.fullmatch(content)
    return int(match[1]) if match else None
