"""/problems/{code}: what the `type` of a problem leads to, a page for the person who reads the error."""

from html import escape
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import HTMLResponse

from service.api.openapi import problems
from service.api.problems import PROBLEMS
from service.domain.errors import NotFoundError

router = APIRouter(prefix="/problems", tags=["service"])

ProblemCode = Annotated[str, Path(description="The `code` of a problem", examples=["validation"])]
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{code}: {title}</title>
<h1>{title}</h1>
<p>Code <code>{code}</code>, status {status}. {repeat}</p>
<p>{remedy}</p>
"""


@router.get(
    "/{code}",
    operation_id="getProblem",
    summary="What a problem means and what to do about it",
    response_class=HTMLResponse,
    responses={
        200: {"description": "A page", "content": {"text/html": {"schema": {"type": "string"}}}},
        **problems("not_found", is_open=True),
    },
)
async def get_problem(code: ProblemCode) -> HTMLResponse:
    """Needs no key: who has none may be told why."""
    kind = PROBLEMS.get(code)
    if kind is None:
        raise NotFoundError("there is no such problem")
    repeat = "The very same call may succeed later." if kind.is_retryable else "The same call will fail again."
    page = _PAGE.format(
        code=code, title=escape(kind.title), status=kind.status, repeat=repeat, remedy=escape(kind.remedy)
    )
    return HTMLResponse(page, headers={"Cache-Control": "public, max-age=3600"})
